"""DPM-Solver++(2M): the probability-flow ODE, to second order, at one network call a step."""

from __future__ import annotations

import math

from torch import Tensor

from codi_minimal.diffusion.sampler import Sampler


class DPMSolverPP(Sampler):
    """z_s = (σ_s/σ_t) z_t + α_s (1 - e^{-h}) D, D = z0 + (z0 - z0_before) / 2r (Lu et al. 2022b, alg. 2).

    λ = log(α/σ), h = λ_s - λ_t, and r = h_before / h.  z0_before is the step before's, kept in `state`;
    with None (at the start, or when starting part of the way) D = z0: first order, and the same as DDIM.
    Elsewhere: diffusers `DPMSolverMultistepScheduler(solver_order=2, solver_type="midpoint")`.
    """

    def advance(
        self, i: int, z: Tensor, z0: Tensor, noise: Tensor | None, state: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        ab_t, ab_s = self.alpha_bars[i], self.alpha_bars[i + 1]
        h = _half_log_snr(ab_s) - _half_log_snr(ab_t)
        D = z0
        if state is not None and i > 0:
            r = (_half_log_snr(ab_t) - _half_log_snr(self.alpha_bars[i - 1])) / h
            D = z0 + (z0 - state) / (2 * r)
        z = ((1 - ab_s) / (1 - ab_t)) ** 0.5 * z - ab_s**0.5 * math.expm1(-h) * D
        return z, z0


def _half_log_snr(alpha_bar: float) -> float:
    return 0.5 * math.log(alpha_bar / (1 - alpha_bar))
