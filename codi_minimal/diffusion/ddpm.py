"""Ancestral sampling."""

from __future__ import annotations

from torch import Tensor

from codi_minimal.diffusion.sampler import Sampler
from codi_minimal.diffusion.schedule import posterior_coefficients


class DDPM(Sampler):
    """z_s ~ q(z_s | z_t, z0), with the predicted z0 (DDPM, algorithm 2, with eq. 7's variance).

    With fewer steps than T it is the respaced chain's posterior (Nichol & Dhariwal 2021, sect. 4).
    Elsewhere: diffusers `DDPMScheduler(variance_type="fixed_small")`.
    """

    stochastic = True

    def advance(self, i: int, z: Tensor, z0: Tensor, noise: Tensor, state: None) -> tuple[Tensor, None]:
        c_z0, c_zt, variance = posterior_coefficients(self.alpha_bars[i], self.alpha_bars[i + 1])
        return c_z0 * z0 + c_zt * z + variance**0.5 * noise, None
