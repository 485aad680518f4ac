"""Streams that are denoised side by side, each attending at every step to what the others say (CoDi sect. 3.4)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from codi_minimal.alignment import Wiring, wire
from codi_minimal.diffusion import Sampler
from codi_minimal.modality import Modality


class Stream:
    """One output on its way from z_T to z_0.

    Args:
        modality: its record. z: z_T (b, *latent_shape).
        net: the denoiser with guidance inside, see `guided`. sampler: the steps it takes.
        generators: draw the noise of stochastic samplers, one a sample, so that no sample depends on its batch.
    """

    def __init__(
        self,
        modality: Modality,
        z: Tensor,
        net: Callable[..., Tensor],
        sampler: Sampler,
        generators: Sequence[torch.Generator],
    ):
        self.modality, self.z, self.net, self.sampler, self.generators = modality, z, net, sampler, generators
        self.taken = 0  # steps
        self.state: Tensor | None = None
        self._decoded: Any = None
        self._tokens: Tensor | None = None

    @property
    def t(self) -> int:
        """Where it is, zero-based; one that is done is at 0."""
        return (*self.sampler.timesteps, 0)[self.taken]

    @property
    def done(self) -> bool:
        """Whether all steps are taken; t alone does not tell, for with many steps the last ones are at 0, too."""
        return self.taken == len(self.sampler.timesteps)

    def times(self) -> Tensor:
        """t of each sample, (b,)."""
        return torch.full((len(self.z),), self.t, device=self.z.device)

    def tokens(self) -> Tensor:
        """V_m(z_t, t), encoded once a step; before the first step nothing: what V says of noise, guidance amplifies."""
        if self.taken == 0:
            return self.silence()
        if self._tokens is None:
            self._tokens = self.modality.environment(self.z, self.times())
        return self._tokens

    def silence(self) -> Tensor:
        """As many tokens (b, n, d_env) of zeros: an absent stream."""
        v = self.modality.environment
        return self.z.new_zeros(len(self.z), v.summary + v.clock, v.d_env)

    def due(self, tick: int, ticks: int) -> bool:
        """Whether to step at this tick of its own: with fewer steps it rests at some, to keep pace with the others."""
        return self.taken * ticks < min(tick, ticks) * len(self.sampler.timesteps)

    def step(self, cond: Tensor | None, env: Tensor | None, autocast: str | None = None) -> None:
        """One step, given C (b, d) and the environment (b, n, d_env), or neither."""
        with torch.autocast(self.z.device.type, torch.bfloat16, enabled=autocast == "bf16"):
            out = self.net(self.z, self.times(), cond, env).float()
        fresh = None
        if self.sampler.stochastic:
            fresh = torch.cat([self.modality.noise(1, generator) for generator in self.generators]).to(self.z.device)
        self.z, self.state = self.sampler.step(self.taken, self.z, out, fresh, self.state)
        self.taken += 1
        self._tokens = None

    def decode(self) -> Any:
        """What it has become, D_m(z_0), of a stream that has arrived; decoded once."""
        if self._decoded is None:
            self._decoded = self.modality.autoencoder.decode(self.z)
        return self._decoded


@torch.no_grad()
def denoise(
    streams: Mapping[str, Stream],
    cond: Tensor | None,
    given: Sequence[Tensor] = (),
    wiring: Wiring = "others",
    stagger: float = 0.0,
    autocast: str | None = None,
    progress: bool = False,
    as_prompt: Callable[[Stream], tuple[Tensor, Tensor]] | None = None,
) -> None:
    """Take all streams to z_0, in place, the smallest first, each `stagger` of the way later than the one before it.

    V says of a stream what can be known while it is under way. Once it has arrived there is no need to guess: it is a
    prompt from then on, and makes up half of C, brought to unit length; what has just arrived knows of all before it.

    Args:
        streams: by name. cond: C (b, d) of all prompts, or None. given: their tokens (b, n, d_env).
        wiring, stagger, autocast, progress: as in `CoDi.generate`.
        as_prompt: C (b, d) and tokens (b, n, d_env) of a stream that has arrived, as of a prompt; None: it stays one of
            the streams, at t = 0.
    """
    ticks = max(len(stream.sampler.timesteps) for stream in streams.values())
    queue = sorted(streams, key=lambda name: (streams[name].z[0].numel(), name))
    start = {name: round(stagger * ticks * i) for i, name in enumerate(queue)}
    arrived: dict[str, tuple[Tensor, Tensor]] = {}
    all_ticks = range(1, ticks + max(start.values()) + 1)
    for tick in tqdm(all_ticks, desc="denoising") if progress else all_ticks:  # tqdm starts a thread, even if disabled
        due = [name for name, stream in streams.items() if stream.due(tick - start[name], ticks)]
        tokens = {name: arrived[name][1] for name in arrived}
        for name in streams.keys() - arrived.keys():
            heard = wiring == "own" or set(due) - {name}
            tokens[name] = streams[name].tokens() if heard else streams[name].silence()
        env = wire(tokens, wiring, given)
        for name in due:
            streams[name].step(cond, env[name], autocast)
        new = [name for name in queue if streams[name].done and name not in arrived]
        if as_prompt is not None and len(arrived) + len(new) < len(streams):  # else nobody is left to be told
            for name in new:
                arrived[name] = as_prompt(streams[name])
                said = arrived[name][0]
                cond = F.normalize(said if cond is None else cond + said, dim=-1)
