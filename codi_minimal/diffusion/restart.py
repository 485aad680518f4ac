"""Restart sampling: DDPM that goes back to more noise once, and down again."""

from torch import Tensor

from codi_minimal.diffusion.samplers import DDPM
from codi_minimal.diffusion.schedule import posterior_coefficients
from codi_minimal.diffusion.timesteps import trailing_timesteps


class Restart(DDPM):
    """Ancestral sampling that goes back once, from about `low` T to `high` T, and then down again (Xu et al. 2023).

        z_high = sqrt(ab_high / ab_low) z_low + sqrt(1 - ab_high / ab_low) noise      (the forward process)

    At z_high a sample still has its outline, and the steps that follow can revise the rest. When streams come down
    again, each sees the others with less noise than at its first decisions. The step to `low` and the way back to
    `high` are one step, with one noise of their summed variance. `share` of the steps lead from `high` back to `low`.
    With fewer than four steps there is no restart.
    """

    low, high, share = 0.3, 0.65, 0.3

    def times(self, T: int, steps: int) -> list[int]:
        trailing_timesteps(T, steps)  # it checks both
        k = self.back = int(self.share * steps + 0.5) if steps >= 4 else 0
        times = super().times(T, steps - k)
        before = min(sum(t > self.low * T for t in times), len(times) - 1) if k else 0
        self.jump = before - 1  # the step that lands at times[before], and then goes back to the top
        top, end = int(self.high * T + 0.5) - 1, times[before]
        again = [(2 * (top * (k - j) + end * j) + k) // (2 * k) for j in range(k)]
        return times[:before] + again + times[before:]

    def advance(self, i: int, z: Tensor, z0: Tensor, noise: Tensor, state: None) -> tuple[Tensor, None]:
        if i != self.jump:
            return super().advance(i, z, z0, noise, state)
        high, low = self.alpha_bars[i + 1], self.alpha_bars[i + 1 + self.back]
        c_z0, c_zt, variance = posterior_coefficients(self.alpha_bars[i], low)
        mean, kept = c_z0 * z0 + c_zt * z, high / low
        return kept**0.5 * mean + (kept * variance + 1 - kept) ** 0.5 * noise, None
