"""Denoising diffusion implicit models."""

from __future__ import annotations

from torch import Tensor

from codi_minimal.diffusion.sampler import Sampler
from codi_minimal.diffusion.schedule import Schedule, posterior_coefficients


class DDIM(Sampler):
    """z_s = sqrt(ab_s) z0 + sqrt(1 - ab_s - τ²) eps + τ noise (Song et al. 2021, eq. 12).

    ab is alpha_bar; τ is eta times the deviation of DDPM's posterior (eq. 16), so that eta = 0 is
    deterministic and eta = 1 has DDPM's mean and variance.
    eps is taken from z and z0, after z0 was clipped, so that the two stay consistent.
    Elsewhere: diffusers `DDIMScheduler(set_alpha_to_one=True)`.

    Args:
        eta: in [0, 1].
    """

    def __init__(
        self,
        schedule: Schedule,
        steps: int,
        prediction: str = "v",
        clip: float | None = None,
        eta: float = 0.0,
    ):
        super().__init__(schedule, steps, prediction, clip)
        if not 0 <= eta <= 1:
            raise ValueError(f"eta: expected a number in [0, 1], got {eta!r}")
        self.eta = eta
        self.stochastic = eta > 0

    def advance(
        self, i: int, z: Tensor, z0: Tensor, noise: Tensor | None, state: None
    ) -> tuple[Tensor, None]:
        ab_t, ab_s = self.alpha_bars[i], self.alpha_bars[i + 1]
        eps = (z - ab_t**0.5 * z0) / (1 - ab_t) ** 0.5
        variance = self.eta**2 * posterior_coefficients(ab_t, ab_s)[2]
        z = ab_s**0.5 * z0 + (1 - ab_s - variance) ** 0.5 * eps
        return z + variance**0.5 * noise if self.stochastic else z, None
