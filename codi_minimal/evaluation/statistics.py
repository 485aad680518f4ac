"""Estimates with 95 % intervals, also where several samples show the same recording or glyph.

Such samples are not independent: they form a cluster. Every function takes `items`, which holds for each kind of item
(recordings, glyphs) the index (n,) of the one that each sample shows.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import inf, sqrt
from typing import Any

import torch
from torch import Tensor

Z = 1.959964  # 95 % of a normal distribution lie within Z standard deviations
GROUPS = 50  # of items, in a jackknife


@dataclass(frozen=True)
class Estimate:
    """A figure, the number n of samples it rests on, and its 95 % interval.

    `value` is None where nothing was counted, and `interval` where the samples are too few or all alike. `bias` says by
    how much the expectation at this n exceeds the value for infinitely many samples. It is subtracted neither from the
    value nor from the interval, which is that of the expectation at this n.

    >>> print(Estimate(0.9, 50, (0.786, 0.957)))
    0.900 [0.786, 0.957] (n = 50)
    """

    value: float | None
    n: int
    interval: tuple[float, float] | None
    bias: float | None = None

    def __post_init__(self) -> None:
        if self.interval is None:
            return
        low, high = self.interval
        object.__setattr__(self, "interval", (low, high))  # JSON has lists
        if self.value is None or not low <= high or self.n < 1:
            raise ValueError(f"expected a value of n >= 1 samples and an interval from low to high, got {self}")

    def __str__(self) -> str:
        return self.text(3) + f" (n = {self.n})" * (self.value is not None)

    def text(self, digits: int) -> str:
        """The value and its interval, whose ends have so many digits."""
        if self.value is None:
            return "-"
        ends = ", ".join(f"{end:.{digits}f}" for end in self.interval or ())
        return f"{self.value:.3f}" + f" [{ends}]" * bool(ends)

    def record(self) -> dict[str, Any]:
        """The fields as JSON has them; a bias only where there is one."""
        return {name: value for name, value in vars(self).items() if name != "bias" or value is not None}


def share(right: Tensor, counted: Tensor | None = None, items: Sequence[Tensor] = ()) -> Estimate:
    """The share p of `right` among those `counted`, with Wilson's interval of the effective number of samples, n / d.

    d = Σ_c (Σ_{i in c} e_i)² / Σ_i e_i² with e_i = right_i - p is the variance of p over that of independent samples
    (Kish 1965, Korn & Graubard 1998). The sum over clusters c is what the variance of a cluster bootstrap converges to.
    A bootstrap's percentiles are of no use near p = 1: without any error all replicates are 1. Few errors do not show
    either how errors cluster, so d counts one more cluster, of typical size, in which all is wrong.

    Args:
        right, counted: bool (n,); without the second all are counted.

    Raises:
        ValueError: if the lengths differ.

    >>> print(share(torch.arange(50) < 45))
    0.900 [0.786, 0.957] (n = 50)
    >>> print(share(torch.arange(50) < 45, items=[torch.arange(50) // 5]))  # ten recordings, five samples of each
    0.900 [0.596, 0.982] (n = 50)
    """
    counted = torch.ones_like(right) if counted is None else counted
    if any(len(x) != len(right) for x in (counted, *items)):
        raise ValueError(f"expected {len(right)} values each, got {[len(x) for x in (counted, *items)]}")
    errors, items = right[counted].double(), [ids[counted] for ids in items]
    n = len(errors)
    if n == 0:
        return Estimate(None, 0, None)
    p = errors.mean().item()
    size = _clustered(torch.ones_like(errors), items) / n
    effect = (_clustered(errors - p, items) + size**2) / (n * p * (1 - p) + size)
    return Estimate(p, n, wilson(p, n / effect))


def wilson(p: float, n: float) -> tuple[float, float]:
    """Wilson's score interval of a share p of n samples (Wilson 1927); unlike p ± Z σ it stays inside [0, 1].

    Elsewhere: scipy `binomtest(k, n).proportion_ci(method="wilson")`.
    """
    scale = 1 + Z * Z / n
    centre = (p + Z * Z / (2 * n)) / scale
    half = Z * sqrt(p * (1 - p) / n + Z * Z / (4 * n * n)) / scale
    return max(0.0, centre - half), min(1.0, centre + half)


def mean(values: Tensor, items: Sequence[Tensor] = ()) -> Estimate:
    """The mean of values (n,) ± Z times its standard error, clustered by the items."""
    n, value = len(values), values.double().mean().item()
    if n == 0 or bool((values == values[0]).all()):
        return Estimate(value if n else None, n, None)
    half = Z * sqrt(_clustered(values.double() - value, items) / (n * (n - 1)))
    return Estimate(value, n, (value - half, value + half))


def average(estimates: Iterable[Estimate], independent: bool = False) -> Estimate:
    """The mean of several estimates; those without a value are left out. n is the smallest.

    Args:
        independent: False averages the ends of the intervals, which is wide enough for any dependence. True adds the
            half widths as independent errors add, √Σ h² / k (Zou & Donner 2008).
    """
    known = [e for e in estimates if e.value is not None]
    if not known:
        return Estimate(None, 0, None)
    value, n, k = sum(e.value for e in known) / len(known), min(e.n for e in known), len(known)
    if any(e.interval is None for e in known):
        return Estimate(value, n, None)
    halves = [[abs(e.value - e.interval[end]) for e in known] for end in (0, 1)]
    low, high = (sqrt(sum(h * h for h in half)) / k if independent else sum(half) / k for half in halves)
    return Estimate(value, n, (value - low, value + high))


def jackknife(
    statistic: Callable[..., float], items: Sequence[Tensor | int], bounds: tuple[float, float] = (0.0, inf)
) -> Estimate:
    """Any statistic θ of one or more sets of samples ± Z times its standard error, and its bias at this n.

    The items are divided at random into G groups, and θ_g is the statistic without the samples of group g. With the
    mean θ̄ of all θ_g, se² = (G - 1)/G Σ_g (θ_g - θ̄)² and bias = (G - 1) (θ̄ - θ) (Quenouille 1956, Tukey 1958, Kott
    2001). A bootstrap is wider than need be for distances: it draws around sets that are noisy already.

    Args:
        statistic: takes for each set the rows (m,) of the samples to use, m at least 2.
        items: for each set the item that each of its samples shows, (n,), or the number of samples, where they share
            nothing. Items of equal index are one item, also in different sets.
        bounds: of the statistic; the interval ends there.
    """
    sizes = [x if isinstance(x, int) else len(x) for x in items]
    value = statistic(*map(torch.arange, sizes))
    new = max((int(x.max()) + 1 for x in items if not isinstance(x, int)), default=0)
    ids = [new + sum(sizes[:i]) + torch.arange(x) if isinstance(x, int) else x for i, x in enumerate(items)]
    cluster = torch.cat(ids).unique(return_inverse=True)[1]
    count = int(cluster.max()) + 1
    groups = min(GROUPS, count)
    group = torch.randperm(count, generator=torch.Generator().manual_seed(0))[cluster] % groups
    kept = [[(x != g).nonzero()[:, 0] for x in group.split(sizes)] for g in range(groups)]
    if min(len(rows) for sets in kept for rows in sets) < 2:
        return Estimate(value, min(sizes), None)
    spread, middle = torch.std_mean(torch.tensor([statistic(*sets) for sets in kept], dtype=torch.float64))
    half = Z * spread.item() * (groups - 1) / sqrt(groups)
    interval = (max(value - half, bounds[0]), min(value + half, bounds[1])) if half else None
    return Estimate(value, min(sizes), interval, (groups - 1) * (middle.item() - value))


def _clustered(errors: Tensor, items: Sequence[Tensor]) -> float:
    """Σ_c (Σ_{i in c} e_i)² over clusters of one kind; over two, the sum of both, less that of their intersections.

    See Cameron, Gelbach & Miller (2011). It is never less than Σ_i e_i², the sum of samples that share nothing.
    """
    total = 0.0
    for size in range(1, len(items) + 1):
        for kinds in combinations(items, size):
            cluster = torch.stack(kinds).unique(dim=1, return_inverse=True)[1]
            total -= (-1) ** size * cluster.bincount(errors).square().sum().item()
    return max(total, errors.square().sum().item())
