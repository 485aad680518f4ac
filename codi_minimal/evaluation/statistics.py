"""Shares with intervals: every figure of the report is a count, so every figure has one."""

from dataclasses import asdict, dataclass
from math import sqrt

from torch import Tensor


@dataclass(frozen=True)
class Share:
    """k successes of n, with Wilson's 95 % interval.

    >>> str(Share(45, 50))
    '0.900 [0.786, 0.957] (n = 50)'
    """

    k: int
    n: int

    def __post_init__(self) -> None:
        if not 0 <= self.k <= self.n:
            raise ValueError(f"expected 0 <= k <= n, got k = {self.k} and n = {self.n}")

    @property
    def value(self) -> float | None:
        """k / n, or None where nothing was counted."""
        return self.k / self.n if self.n else None

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's score interval: the shares p with |p̂ - p| ≤ z √(p (1 - p) / n), z = 1.96."""
        return wilson(self.k, self.n)

    def __add__(self, other: "Share") -> "Share":
        return Share(self.k + other.k, self.n + other.n)

    def __str__(self) -> str:
        if not self.n:
            return "-"
        low, high = self.interval
        return f"{self.value:.3f} [{low:.3f}, {high:.3f}] (n = {self.n})"

    def record(self) -> dict:
        """What the JSON holds: k, n, the value and the interval."""
        return asdict(self) | {"value": self.value, "interval": list(self.interval)}


def share(right: Tensor, counted: Tensor | None = None) -> Share:
    """The share of `right` among those `counted`, bool tensors (n,); without the second, all are."""
    if counted is None:
        return Share(int(right.sum()), len(right))
    return Share(int((right & counted).sum()), int(counted.sum()))


def wilson(k: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """Wilson's score interval of a share k / n (Wilson 1927); unlike k/n ± z σ it stays inside [0, 1].

    centre = (p̂ + z²/2n) / (1 + z²/n), half width = z √(p̂ (1 - p̂)/n + z²/4n²) / (1 + z²/n).
    Elsewhere: scipy `binomtest(k, n).proportion_ci(method="wilson")`.
    """
    if n == 0:
        return 0.0, 1.0
    p = k / n
    scale = 1 + z * z / n
    centre = (p + z * z / (2 * n)) / scale
    half = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / scale
    return max(0.0, centre - half), min(1.0, centre + half)
