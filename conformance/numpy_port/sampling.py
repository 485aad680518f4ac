"""Schedule, timesteps and samplers, in Python's floats."""

import math
from dataclasses import dataclass

import numpy as np
from numpy import ndarray


def alpha_bars(T: int) -> list[float]:
    """ᾱ_t of the cosine schedule, whose β are at most .999."""
    u = (np.arange(T + 1) / T + 0.008) / 1.008
    f = np.cos(u * math.pi / 2) ** 2
    return np.cumprod(1 - np.minimum(1 - f[1:] / f[:-1], 0.999)).tolist()


def trailing(T: int, steps: int) -> list[int]:
    """⌊T − iT/steps + ½⌋ − 1, in whole numbers."""
    return [(2 * T * (steps - i) + steps) // (2 * steps) - 1 for i in range(steps)]


def shifted(times: list[int], table: list[float], shift: float) -> list[int]:
    """For each t the first t' with SNR(t') ≤ SNR(t) / shift²."""
    if shift == 1:
        return times
    wanted = [table[t] / (table[t] + shift**2 * (1 - table[t])) for t in times]
    return [min(sum(a > w for a in table), len(table) - 1) for w in wanted]


def posterior(a_t: float, a_s: float) -> tuple[float, float, float]:
    """q(z_s | z_t, z_0) has the mean c_0 z_0 + c_t z_t: c_0, c_t and the variance."""
    a, rest = a_t / a_s, (1 - a_s) / (1 - a_t)
    return a_s**0.5 * (1 - a) / (1 - a_t), a**0.5 * rest, rest * (1 - a)


@dataclass
class Sampler:
    """A way from z_T to z_0: "dpm-solver++" for one output, "restart" for several."""

    name: str
    T: int
    steps: int
    shift: float = 1.0

    def __post_init__(self) -> None:
        table, self.jump, self.back = alpha_bars(self.T), -1, 0
        times = trailing(self.T, self.steps)
        if self.name == "restart" and self.steps >= 4:
            times = self.restarted()
        self.times = shifted(times, table, self.shift)
        self.bars = [table[t] for t in self.times] + [1.0]

    def restarted(self) -> list[int]:
        """Down to .3 T, back to .65 T, and down again: .3 of the steps are taken on the way that is gone twice."""
        k = self.back = int(0.3 * self.steps + 0.5)
        times = trailing(self.T, self.steps - k)
        before = min(sum(t > 0.3 * self.T for t in times), len(times) - 1)
        self.jump = before - 1
        top, end = int(0.65 * self.T + 0.5) - 1, times[before]
        again = [(2 * (top * (k - j) + end * j) + k) // (2 * k) for j in range(k)]
        return times[:before] + again + times[before:]

    def step(
        self, i: int, z: ndarray, v: ndarray, noise: ndarray | None, before: ndarray | None
    ) -> tuple[ndarray, ndarray]:
        """z at the next time, and ẑ_0, which DPM-Solver++ wants back as `before`."""
        a_t, a_s = self.bars[i], self.bars[i + 1]
        z0 = a_t**0.5 * z - (1 - a_t) ** 0.5 * v
        if i == len(self.times) - 1:
            return z0, z0
        if self.name == "dpm-solver++":
            h, last = self.h(i), self.h(i - 1) if i else 0.0
            d = z0 + (z0 - before) * h / (2 * last) if before is not None and h and last else z0
            return ((1 - a_s) / (1 - a_t)) ** 0.5 * z - a_s**0.5 * math.expm1(-h) * d, z0
        if i != self.jump:
            c0, ct, variance = posterior(a_t, a_s)
            return c0 * z0 + ct * z + variance**0.5 * noise, z0
        low = self.bars[i + 1 + self.back]
        (c0, ct, variance), kept = posterior(a_t, low), a_s / low
        return kept**0.5 * (c0 * z0 + ct * z) + (kept * variance + 1 - kept) ** 0.5 * noise, z0

    def h(self, i: int) -> float:
        """log(α/σ) at the end of step i, less that at its start."""
        start, end = (0.5 * math.log(a / (1 - a)) for a in self.bars[i : i + 2])
        return end - start
