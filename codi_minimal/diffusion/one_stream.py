"""Samplers by name, and the loop from z_T to z0 for a single stream."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from codi_minimal.diffusion.restart import Restart
from codi_minimal.diffusion.samplers import DDIM, DDPM, DPMSolverPP, Sampler
from codi_minimal.diffusion.schedule import Schedule

if TYPE_CHECKING:
    from codi_minimal.alignment.environment import Environment

SAMPLERS: dict[str, type[Sampler]] = {"ddpm": DDPM, "restart": Restart, "ddim": DDIM, "dpm-solver++": DPMSolverPP}


def make_sampler(
    name: str,
    schedule: Schedule,
    steps: int,
    prediction: str = "v",
    eta: float = 0.0,
    clip: float | None = None,
    shift: float = 1.0,
) -> Sampler:
    """A sampler by its name: "ddpm", "restart", "ddim" (which alone takes an eta), "dpm-solver++"; see the classes.

    Raises:
        ValueError: on an unknown name or prediction, steps or eta out of range, or eta without DDIM.

    >>> make_sampler("ddim", Schedule("cosine", 1000), steps=4).timesteps
    [999, 749, 499, 249]
    """
    if not isinstance(name, str) or name not in SAMPLERS:
        raise ValueError(f"sampler: expected one of {sorted(SAMPLERS)}, got {name!r}")
    if name == "ddim":
        return DDIM(schedule, steps, prediction, clip, shift, eta)
    if eta != 0:
        raise ValueError(f"eta: only 'ddim' takes one, expected 0 with {name!r}, got {eta!r}")
    return SAMPLERS[name](schedule, steps, prediction, clip, shift)


@torch.no_grad()
def sample(
    net: Callable[..., Tensor],
    z_T: Tensor,
    sampler: Sampler,
    cond: Tensor | None = None,
    env: Environment | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """From z_T to z0, "b ...", one stream by itself. Wrap `net` in `guided` for guidance.

    Args:
        net: callable net(z_t, t, cond, env) -> "b ...".
        z_T: unit Gaussian noise, "b ...".
        cond, env: C "b d" and the environment, as of `diffusion_loss`; the same at every step.
        generator: draws the noise of a stochastic sampler, on its own device.

    Raises:
        ValueError: if a stochastic sampler has no generator.

    >>> zero_is_all_there_is = lambda z_t, t, cond, env: z_t  # eps = z_t, hence z0 = 0 at pure noise
    >>> sampler = make_sampler("ddim", Schedule("cosine", 1000), 1, prediction="epsilon")
    >>> sample(zero_is_all_there_is, torch.ones(1, 2), sampler).abs().max() < 1e-4
    tensor(True)
    """
    z, state = z_T, None
    for i, t in enumerate(sampler.timesteps):
        output = net(z, torch.full((z.shape[0],), t, dtype=torch.long, device=z.device), cond, env)
        noise = None
        if sampler.stochastic and generator is not None:
            noise = torch.randn(z.shape, generator=generator, device=generator.device, dtype=z.dtype).to(z.device)
        z, state = sampler.step(i, z, output, noise, state)
    return z
