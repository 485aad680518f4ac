"""Samplers from z_T to z0: DDPM, DDIM and DPM-Solver++, each one pure step."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

from torch import Tensor

from codi_minimal.diffusion.process import check_prediction, check_same_shape, to_z0
from codi_minimal.diffusion.schedule import Schedule, posterior_coefficients
from codi_minimal.diffusion.timesteps import shifted_timesteps, trailing_timesteps


class Sampler(ABC):
    """One way from z_T to z0. It holds only constants; what changes goes in and out of `step`.

    `timesteps` are zero-based, from T-1 downwards. `alpha_bars` has alpha_bar at each of them, and then 1.0: the last
    step lands on z0. They are Python floats, hence float64 and independent of devices. `stochastic` says whether
    `step` needs noise, on all but the last step. `unshifted` has the timesteps without the shift.

    Args:
        schedule: the one the network was trained with.
        steps: how many times the network is called, 1 … T. DDPM needs hundreds in pixel space, and 25 to 50 here;
            DDIM needs 25 to 50, DPM-Solver++ 10 to 20.
        prediction: what the network outputs, "v" or "epsilon".
        clip: the predicted z0 is clamped to [-clip, clip]; None for not at all. Give one with "epsilon" and a schedule
            that ends in almost pure noise, such as "cosine": there z0 = (z - sigma eps) / alpha divides every error of
            the network by alpha, 5e-5, and the sample explodes.
        shift: see `shifted_timesteps`.
    """

    stochastic = False

    def __init__(
        self, schedule: Schedule, steps: int, prediction: str = "v", clip: float | None = None, shift: float = 1.0
    ):
        check_prediction(prediction)
        if clip is not None and not clip > 0:
            raise ValueError(f"clip: expected a positive number or None, got {clip!r}")
        self.prediction, self.clip = prediction, clip
        table = schedule.exact_alpha_bar()
        self.unshifted = self.times(schedule.T, steps)
        self.timesteps = shifted_timesteps(self.unshifted, table, shift)
        self.alpha_bars = [table[t].item() for t in self.timesteps] + [1.0]

    def times(self, T: int, steps: int) -> list[int]:
        """The timesteps before any shift."""
        return trailing_timesteps(T, steps)

    def step(
        self, i: int, z: Tensor, output: Tensor, noise: Tensor | None = None, state: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """From z at timesteps[i] to z at timesteps[i + 1] (after the last: z0).

        Args:
            i: which step, 0 … steps-1.
            z, output: "b ...", and the network's output at (z, timesteps[i]).
            noise: unit Gaussian "b ...", if the sampler is stochastic.
            state: what the step before returned; None at the start.

        Returns:
            z at the next timestep, and the state for the next step.

        Raises:
            ValueError: on i out of range, shapes that differ, or noise that is missing.
        """
        if not 0 <= i < len(self.timesteps):
            raise ValueError(f"i: expected a step in 0 … {len(self.timesteps) - 1}, got {i}")
        last = i == len(self.timesteps) - 1
        if self.stochastic and not last and noise is None:
            raise ValueError(f"noise: {type(self).__name__} expected shape {tuple(z.shape)}, got None")
        given = {"noise": noise, "state": state}
        check_same_shape(z=z, **{name: tensor for name, tensor in given.items() if tensor is not None})
        z0 = self.predict(i, z, output)
        # the last alpha_bar is 1: every method's next z is z0 itself
        return (z0, None) if last else self.advance(i, z, z0, noise, state)

    def predict(self, i: int, z: Tensor, output: Tensor) -> Tensor:
        """The z0 that the network's output at (z, timesteps[i]) stands for."""
        alpha, sigma = self.alpha_bars[i] ** 0.5, (1 - self.alpha_bars[i]) ** 0.5
        z0 = to_z0(self.prediction, output, z, alpha, sigma)
        return z0 if self.clip is None else z0.clamp(-self.clip, self.clip)

    @abstractmethod
    def advance(
        self, i: int, z: Tensor, z0: Tensor, noise: Tensor | None, state: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """The method itself, for every step but the last: next z and state, given the predicted z0."""


class DDPM(Sampler):
    """Ancestral sampling, z_s ~ q(z_s | z_t, z0), with the predicted z0 (DDPM, algorithm 2, with eq. 7's variance).

    With fewer steps than T it is the respaced chain's posterior (Nichol & Dhariwal 2021, sect. 4).
    Elsewhere: diffusers `DDPMScheduler(variance_type="fixed_small")`.
    """

    stochastic = True

    def advance(self, i: int, z: Tensor, z0: Tensor, noise: Tensor, state: None) -> tuple[Tensor, None]:
        c_z0, c_zt, variance = posterior_coefficients(self.alpha_bars[i], self.alpha_bars[i + 1])
        return c_z0 * z0 + c_zt * z + variance**0.5 * noise, None


class DDIM(Sampler):
    """z_s = sqrt(ab_s) z0 + sqrt(1 - ab_s - σ²) eps + σ noise (Song et al. 2021, eq. 12).

    ab is alpha_bar; σ is eta times the deviation of DDPM's posterior (eq. 16), so that eta = 0 is deterministic and
    eta = 1 has DDPM's mean and variance. eps is taken from z and z0, after z0 was clipped, so that the two stay
    consistent. Elsewhere: diffusers `DDIMScheduler(set_alpha_to_one=True)`.
    """

    def __init__(
        self,
        schedule: Schedule,
        steps: int,
        prediction: str = "v",
        clip: float | None = None,
        shift: float = 1.0,
        eta: float = 0.0,
    ):
        super().__init__(schedule, steps, prediction, clip, shift)
        if not 0 <= eta <= 1:
            raise ValueError(f"eta: expected a number in [0, 1], got {eta!r}")
        self.eta, self.stochastic = eta, eta > 0

    def advance(self, i: int, z: Tensor, z0: Tensor, noise: Tensor | None, state: None) -> tuple[Tensor, None]:
        ab_t, ab_s = self.alpha_bars[i], self.alpha_bars[i + 1]
        eps = (z - ab_t**0.5 * z0) / (1 - ab_t) ** 0.5
        variance = self.eta**2 * posterior_coefficients(ab_t, ab_s)[2]
        z = ab_s**0.5 * z0 + (1 - ab_s - variance) ** 0.5 * eps
        return z + variance**0.5 * noise if self.stochastic else z, None


class DPMSolverPP(Sampler):
    """DPM-Solver++(2M): the probability-flow ODE, to second order, at one network call a step.

    z_s = (σ_s/σ_t) z_t + α_s (1 - e^{-h}) D, D = z0 + (z0 - z0_before) / 2r (Lu et al. 2022b, alg. 2).

    λ = log(α/σ), h = λ_s - λ_t, and r = h_before / h. `state` holds z0_before, the previous step's z0. With None (at
    the start, or when starting part of the way) D = z0: first order, and the same as DDIM. So it is where a timestep
    repeats, as it may with a shift and nearly as many steps as T.
    Elsewhere: diffusers `DPMSolverMultistepScheduler(solver_order=2, solver_type="midpoint")`.
    """

    def advance(
        self, i: int, z: Tensor, z0: Tensor, noise: Tensor | None, state: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        ab_t, ab_s = self.alpha_bars[i], self.alpha_bars[i + 1]
        h, h_before = self.h(i), 0.0 if state is None or i == 0 else self.h(i - 1)
        D = z0
        if h and h_before:  # either is 0 where shifted timesteps repeat
            r = h_before / h
            D = z0 + (z0 - state) / (2 * r)
        z = ((1 - ab_s) / (1 - ab_t)) ** 0.5 * z - ab_s**0.5 * math.expm1(-h) * D
        return z, z0

    def h(self, i: int) -> float:
        """λ_s - λ_t of step i, which is not the last."""
        λ_t, λ_s = (0.5 * math.log(ab / (1 - ab)) for ab in self.alpha_bars[i : i + 2])
        return λ_s - λ_t
