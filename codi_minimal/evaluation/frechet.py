"""Fréchet distance between two sets of features: how far generated samples lie from real ones."""

from collections.abc import Sequence

import torch
from torch import Tensor

from codi_minimal.evaluation.statistics import Estimate, jackknife


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Fréchet distance of the Gaussians fitted to two sets of features.

    d² = |μ_a - μ_b|² + tr(Σ_a + Σ_b - 2 (Σ_a Σ_b)^½)   (Dowson & Landau 1982; Heusel et al. 2017 call it FID)

    The trace of the root needs no root: Σ_a Σ_b has the eigenvalues of the symmetric Σ_a^½ Σ_b Σ_a^½. Covariances of
    few samples make the distance larger, by about 1/n. Compare distances of equal n only: between two sets of real
    renders of that size the distance is nothing but this bias. `statistics.jackknife` estimates it, and an interval.

    Args:
        a, b: "n d" features, n at least 2, the same d.

    Raises:
        ValueError: on other shapes, or where a value is not finite.
    """
    for x in (a, b):
        if x.ndim != 2 or x.shape[0] < 2 or x.shape[1] != a.shape[-1]:
            raise ValueError(f"expected two (n >= 2, d) sets of features, got {tuple(a.shape)} and {tuple(b.shape)}")
        if not x.isfinite().all():
            raise ValueError("expected finite features, got NaN or infinity")
    a, b = a.double(), b.double()  # the root of an almost singular covariance loses half the digits
    cov_a, cov_b = (torch.atleast_2d(x.T.cov()) for x in (a, b))
    root_a = _root(cov_a)
    trace_root = torch.linalg.eigvalsh(root_a @ cov_b @ root_a).clamp_min(0).sqrt().sum()
    distance = (a.mean(0) - b.mean(0)).square().sum() + cov_a.trace() + cov_b.trace() - 2 * trace_root
    return float(distance.clamp_min(0))


def frechet_estimate(a: Tensor, b: Tensor, items_a: Sequence[Tensor] = (), items_b: Sequence[Tensor] = ()) -> Estimate:
    """`frechet_distance` with an interval, and its bias at this n. The items are those of `readers.items_of`."""
    items = [next(iter(items), len(x)) for x, items in ((a, items_a), (b, items_b))]
    return jackknife(lambda i, j: frechet_distance(a[i], b[j]), items)


def _root(cov: Tensor) -> Tensor:
    """Σ^½ of a symmetric positive semidefinite "d d" matrix."""
    values, vectors = torch.linalg.eigh(cov)
    return vectors * values.clamp_min(0).sqrt() @ vectors.T
