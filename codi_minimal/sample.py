"""Joint generation: all streams are denoised together, and each attends to the environment of the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import Tensor
from tqdm import tqdm

from codi_minimal.alignment import Environment, wire
from codi_minimal.diffusion import Sampler, Schedule, guided, make_sampler, q_sample
from codi_minimal.inputs import check_number
from codi_minimal.modality import Modality
from codi_minimal.recipe import Recipe

if TYPE_CHECKING:
    from codi_minimal.codi import CoDi

EPSILON_CLIP = 4.0  # standard deviations of a latent; see `diffusion.Sampler`
Watch: TypeAlias = Callable[[Mapping[str, "Stream"]], None]
LARGEST = 10_000  # standard deviations of a latent: beyond it no decoder gives anything usable


@dataclass
class Stream:
    """One output on its way from z_T to z_0.

    Args:
        modality: its record. z: z_t (b, *latent_shape), at first z_T.
        net: the denoiser with guidance inside, (z_t, t, C, env) → (b, *latent_shape); see `diffusion.guided`.
        sampler: the steps it takes. generators: of the noise of a stochastic sampler, one a sample.
        taken: how many steps it has taken. state: what the sampler's last step returned, see `Sampler.step`.
        predicted: ẑ_0 (b, *latent_shape), what the last step took for the end; None before the first.
    """

    modality: Modality
    z: Tensor
    net: Callable[..., Tensor]
    sampler: Sampler
    generators: Sequence[torch.Generator]
    taken: int = 0
    state: Tensor | None = field(default=None, repr=False)
    predicted: Tensor | None = field(default=None, repr=False)

    @property
    def t(self) -> Tensor:
        """The time t of each sample, (b,), zero-based and after any shift; 0 after the last step."""
        return torch.full((len(self.z),), (*self.sampler.timesteps, 0)[self.taken], device=self.z.device)

    @property
    def done(self) -> bool:
        """Whether all steps are taken. With many steps several of the last are at t = 0."""
        return self.taken == len(self.sampler.timesteps)

    def tokens(self) -> Tensor:
        """V_m(z_t, t), (b, n, d_env)."""
        return self.modality.environment(self.z, self.t)

    def data(self) -> Tensor | list[str]:
        """D_m(z), a batch of b: what a finished stream shows."""
        return self.modality.autoencoder.decode(self.z)

    def step(self, cond: Tensor | None, env: Environment | None, autocast: str | None = None) -> None:
        """z_t → z_s for the next timestep s, given C (b, d) and the environment, or neither."""
        with torch.autocast(self.z.device.type, torch.bfloat16, enabled=autocast == "bf16"):
            output = self.net(self.z, self.t, cond, env).float()
        self.predicted, noise = self.sampler.predict(self.taken, self.z, output), None
        if self.sampler.stochastic:
            noise = torch.cat([self.modality.noise(1, generator) for generator in self.generators]).to(self.z.device)
        self.z, self.state = self.sampler.step(self.taken, self.z, output, noise, self.state)
        self.taken += 1


class GivenStream(Stream):
    """A real stream, held while others are generated around it: its step is the forward process, not a denoiser.

    z is z_t = √ᾱ_t z_0 + √(1 − ᾱ_t) ε at the t of the others, with one ε for all t; once it is done, z is z_0.

    Args:
        x: b items. z0: E_m(x) (b, *latent_shape). eps: ε, of the same shape. schedule: of ᾱ_t.
        sampler: that of an output.
        held: it is done before the first step, and stays at t = 0.
    """

    def __init__(
        self,
        modality: Modality,
        x: Tensor | list[str],
        z0: Tensor,
        eps: Tensor,
        schedule: Schedule,
        sampler: Sampler,
        held: bool = False,
    ):
        super().__init__(modality, z0, partial(q_sample, schedule, z0, eps=eps), sampler, generators=())
        self.x, self.z0, self.predicted = x, z0, z0
        self.move(len(sampler.timesteps) if held else 0)

    def move(self, taken: int) -> None:
        """Set z to z_t after `taken` steps of the sampler."""
        self.taken = taken
        self.z = self.z0 if self.done else self.net(self.t)

    def hold(self) -> None:
        """Skip all steps: from now on it is z_0 at t = 0."""
        self.move(len(self.sampler.timesteps))

    def data(self) -> Tensor | list[str]:
        """x itself."""
        return self.x

    def step(self, cond: Tensor | None = None, env: Environment | None = None, autocast: str | None = None) -> None:
        """z_t → z_s for the next timestep s, out of z_0 and ε alone."""
        if not self.done:
            self.move(self.taken + 1)


@dataclass
class Shared:
    """What the streams of one batch share, whether they are generated together or each by itself.

    Args:
        model: of the streams. recipe: how they are sampled. progress: a bar, or what is called after each step.
        cond: C (b, d), the mixture of all prompts, or None. tokens: (b, n, d_env) of prompts, which every stream sees.
    """

    model: CoDi
    recipe: Recipe
    cond: Tensor | None = None
    tokens: Sequence[Tensor] = ()
    progress: bool | Watch = False

    def bar(self, steps: Iterable[int]) -> Iterable[int]:
        """The steps, with a progress bar if one is wanted: even a disabled tqdm starts a thread."""
        return tqdm(steps, desc="denoising") if self.progress is True else steps

    def watch(self, streams: Mapping[str, Stream]) -> None:
        """After a step: show the streams to whom wants to see them."""
        if callable(self.progress):
            self.progress(streams)


@torch.no_grad()
def joint_sample(shared: Shared, streams: Mapping[str, Stream]) -> None:
    """CoDi's joint generation (sect. 3.4): take all streams from z_T to z_0, in place.

    At every step all streams are at the same t, before any `Recipe.shift`. A `GivenStream` may stay at t = 0.
    First every V_B(z_t^B) is computed, and only then does any stream move:

        z_s^A = step(z_t^A, ε_A(z_t^A, t, C, {V_B(z_t^B) : B ≠ A}))

    Raises:
        ValueError: if the streams do not take the same steps.
    """
    steps = {tuple(stream.sampler.unshifted) for stream in streams.values()}
    if len(steps) > 1:
        raise ValueError(f"steps: expected the same number for all outputs, got {sorted(map(len, steps))}")
    for _ in shared.bar(range(len(steps.pop()))):
        # a single stream needs no tokens
        tokens = {name: stream.tokens() if len(streams) > 1 else None for name, stream in streams.items()}
        env = wire(tokens, shared.recipe.wiring, shared.tokens)
        for name, stream in streams.items():
            stream.step(shared.cond, env[name], shared.recipe.autocast)
        shared.watch(streams)


def denoise(shared: Shared, streams: Mapping[str, Stream]) -> None:
    """Take all streams from z_T to z_0, in place, with the loop of an addition, or else with `joint_sample`.

    Raises:
        ValueError: on latents that leave all bounds.
    """
    if not any(addition.loop(shared, streams) for addition in shared.recipe.additions):
        joint_sample(shared, streams)
    for name, stream in streams.items():
        if not (stream.z.abs() < LARGEST).all():  # NaN fails this, too
            raise ValueError(f"{name}: expected latents within ±{LARGEST:,}; is guidance too large?")


def guided_by(modality: Modality, g: float, start: float) -> Callable[..., Tensor]:
    """ε_m with guidance of scale g inside at t < `start`, a timestep in [0, T], and without guidance at t ≥ `start`.

    At high t guidance mainly moves the mean of all samples (Kynkäänniemi et al. 2024). t is that of the stream, after
    any shift.
    """
    check_number("guidance", g)

    # all samples of a stream are at the same t
    return guided(modality.denoiser, lambda t: 1.0 if t[0] >= start else g)


def make_samplers(
    recipe: Recipe, schedule: Schedule, prediction: str, steps: Mapping[str, int], solver: str
) -> dict[str, Sampler]:
    """For each modality in `steps` a sampler with the recipe's shift; `solver` and `prediction`: see `make_sampler`."""
    clip = EPSILON_CLIP if prediction == "epsilon" else None
    return {
        name: make_sampler(solver, schedule, n, prediction, clip=clip, shift=recipe.shift_of(name))
        for name, n in steps.items()
    }
