"""Samplers by name, and the loop for a single stream."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from codi_minimal.diffusion.ddim import DDIM
from codi_minimal.diffusion.ddpm import DDPM
from codi_minimal.diffusion.dpm_solver import DPMSolverPP
from codi_minimal.diffusion.sampler import Sampler
from codi_minimal.diffusion.schedule import Schedule

SAMPLERS = {"ddpm": DDPM, "ddim": DDIM, "dpm-solver++": DPMSolverPP}


def make_sampler(
    name: str,
    schedule: Schedule,
    steps: int,
    prediction: str = "v",
    eta: float = 0.0,
    clip: float | None = None,
) -> Sampler:
    """A sampler by its name: "ddpm" (ancestral), "ddim" (takes eta) or "dpm-solver++" (second-order ODE).

    Args:
        schedule: the one the network was trained with.
        steps: network calls, 1 … T. DDPM wants hundreds, DDIM 25 to 50, DPM-Solver++ 10 to 20.
        prediction: what the network outputs, "v" or "epsilon".
        eta: DDIM's share of DDPM's noise, in [0, 1].
        clip: the predicted z0 is clamped to [-clip, clip]; see `Sampler` for when it is needed.

    Raises:
        ValueError: on an unknown name or prediction, steps or eta out of range, or eta without DDIM.

    >>> make_sampler("ddim", Schedule("cosine", 1000), steps=4).timesteps
    [999, 749, 499, 249]
    """
    if not isinstance(name, str) or name not in SAMPLERS:
        raise ValueError(f"sampler: expected one of {sorted(SAMPLERS)}, got {name!r}")
    if name == "ddim":
        return DDIM(schedule, steps, prediction, clip, eta=eta)
    if eta != 0:
        raise ValueError(f"eta: only 'ddim' takes one, expected 0 with {name!r}, got {eta!r}")
    return SAMPLERS[name](schedule, steps, prediction, clip)


@torch.no_grad()
def sample(
    net: Callable[..., Tensor],
    z_T: Tensor,
    sampler: Sampler,
    cond: Tensor | None = None,
    env: Tensor | None = None,
    noises: Sequence[Tensor] | Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """From z_T to z0, one stream by itself. Wrap `net` in `guided` for guidance.

    Args:
        net: callable net(z_t, t, cond, env) -> "b ...".
        z_T: unit Gaussian noise, "b ...".
        cond: prompt embeddings "b d", or None.
        env: tokens "b n d_env", or None; the same at every step.
        noises: for a stochastic sampler, one for each step but the last: "steps-1 b ..." (more are ignored).
        generator: draws them instead, on its own device.

    Returns:
        z0, "b ...".

    Raises:
        ValueError: if a stochastic sampler is given neither noises nor a generator, or too few.

    >>> zero_is_all_there_is = lambda z_t, t, cond, env: z_t  # eps = z_t, hence z0 = 0 at pure noise
    >>> sampler = make_sampler("ddim", Schedule("cosine", 1000), 1, prediction="epsilon")
    >>> sample(zero_is_all_there_is, torch.ones(1, 2), sampler).abs().max() < 1e-4
    tensor(True)
    """
    needed = len(sampler.timesteps) - 1 if sampler.stochastic else 0
    if needed and noises is None and generator is None:
        raise ValueError(f"{type(sampler).__name__}: expected noises or a generator, got neither")
    if noises is not None and len(noises) < needed:
        raise ValueError(f"noises: expected at least {needed}, one a step but the last, got {len(noises)}")
    z, state = z_T, None
    for i, t in enumerate(sampler.timesteps):
        output = net(z, torch.full((z.shape[0],), t, dtype=torch.long, device=z.device), cond, env)
        noise = None
        if i < needed:
            noise = noises[i] if noises is not None else _randn_like(z, generator)
        z, state = sampler.step(i, z, output, noise, state)
    return z


def _randn_like(z: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(z.shape, generator=generator, device=generator.device, dtype=z.dtype).to(z.device)
