"""Samples and reconstructions beside real renders: errors, Fréchet distance, and the variety that a prompt leaves open.

What has a bias at the number of samples states it, and an interval (`statistics.jackknife`).
"""

from collections.abc import Callable, Mapping, Sequence
from math import inf, log, log10
from typing import Any

import torch
from einops import reduce
from torch import Tensor

from codi_minimal.autoencoders.mel import SPREAD, LogMel
from codi_minimal.data import Scene
from codi_minimal.evaluation.readers import LEGAL, items_of
from codi_minimal.evaluation.statistics import Estimate, jackknife, mean, share


def psnr(x: Tensor, y: Tensor) -> float:
    """Peak signal-to-noise ratio, -10 log10 mean (x - y)², of values in [0, 1]: dB, over the whole batch."""
    return -10 * log10(max((x - y).square().mean().item(), 1e-12))


def mel_error(x: Tensor, y: Tensor) -> Tensor:
    """Mean absolute difference of the log-mel spectrograms of waveforms "b s", in dB of magnitude: (b,)."""
    log_mel = LogMel()
    return 20 * SPREAD * reduce((log_mel(x) - log_mel(y)).abs(), "b 1 m n -> b", "mean")


def fidelity(
    data: Mapping[str, Any], rebuilt: Mapping[str, Any], scene: Scene | None = None
) -> dict[str, dict[str, Estimate]]:
    """How faithfully each modality was reconstructed: modality → unit → value. The data are renders of `scene`."""
    result = {}
    for name in rebuilt:
        unit, estimate = MEASURES[name]
        result[name] = {unit: estimate(data[name], rebuilt[name], items_of([name], scene))}
    return result


def _exact(captions: Sequence[str], rebuilt: Sequence[str], items: Sequence[Tensor]) -> Estimate:
    return share(torch.tensor([a == b for a, b in zip(captions, rebuilt, strict=True)]), items=items)


def _psnr(x: Tensor, y: Tensor, items: Sequence[Tensor]) -> Estimate:
    return jackknife(lambda rows: psnr(x[rows], y[rows]), items or [len(x)], (-inf, inf))


MEASURES: dict[str, tuple[str, Callable[[Any, Any, Sequence[Tensor]], Estimate]]] = {
    "text": ("exact captions", _exact),
    "image": ("PSNR, dB", _psnr),
    "audio": ("log-mel error, dB", lambda x, y, items: mean(mel_error(x, y), items)),
    "video": ("PSNR, dB", _psnr),
}


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Fréchet distance of the Gaussians fitted to two sets of features.

    d² = |μ_a - μ_b|² + tr(Σ_a + Σ_b - 2 (Σ_a Σ_b)^½)   (Dowson & Landau 1982; Heusel et al. 2017 call it FID)

    The trace of the root needs no root: Σ_a Σ_b has the eigenvalues of the symmetric Σ_a^½ Σ_b Σ_a^½. Covariances of
    few samples make the distance larger, by about 1/n. Compare distances of equal n only: between two sets of real
    renders of that size the distance is nothing but this bias.

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
    values, vectors = torch.linalg.eigh(cov_a)
    root_a = vectors * values.clamp_min(0).sqrt() @ vectors.T
    trace_root = torch.linalg.eigvalsh(root_a @ cov_b @ root_a).clamp_min(0).sqrt().sum()
    distance = (a.mean(0) - b.mean(0)).square().sum() + cov_a.trace() + cov_b.trace() - 2 * trace_root
    return float(distance.clamp_min(0))


def frechet_estimate(a: Tensor, b: Tensor, items_a: Sequence[Tensor] = (), items_b: Sequence[Tensor] = ()) -> Estimate:
    """`frechet_distance` of what was seen; the items are those of `readers.items_of`."""
    items = [next(iter(items), len(x)) for x, items in ((a, items_a), (b, items_b))]
    return jackknife(lambda i, j: frechet_distance(a[i], b[j]), items)


def normalised_entropy(values: Tensor, legal: Sequence[int]) -> float:
    """Entropy of n values over its maximum, H = -Σ p log p / log K: 1 if all K values are as frequent, 0 if all agree.

    Few samples make it smaller, by about (K - 1) / (2 n log K) (Miller 1955).

    Args:
        values: (n,) whole numbers; those that are not legal (what is unreadable is -1) are left out.
        legal: the K values that the attribute can take.
    """
    counts = (values[:, None] == torch.tensor(legal)).sum(dim=0).double()
    p = counts / counts.sum().clamp_min(1)
    return -torch.xlogy(p, p).sum().item() / log(len(legal)) + 0.0  # not -0


def entropy_estimate(values: Tensor, attribute: str) -> Estimate:
    """`normalised_entropy` of what was read of an attribute, (n,)."""
    return jackknife(lambda i: normalised_entropy(values[i], LEGAL[attribute]), [len(values)], (0, 1))


def spread_ratio(features: Tensor, labels: Tensor, real: Tensor, real_labels: Tensor) -> float:
    """The variance within a digit, generated over real: at 1, handwriting and voices vary as they do in the data.

    Args:
        features, real: "n d" features of what was generated, and of real renders.
        labels, real_labels: (n,) digits; samples whose digit is negative are left out.
    """
    return _within(features, labels) / max(_within(real, real_labels), 1e-12)


def spread_estimate(logits: Tensor, features: Tensor, real_logits: Tensor, real: Tensor, items: Sequence) -> Estimate:
    """`spread_ratio` of what a judge finds; the items are those of the real renders."""
    x, y = logits.argmax(1), real_logits.argmax(1)
    return jackknife(lambda i, j: spread_ratio(features[i], x[i], real[j], y[j]), [len(x), *items])


def _within(features: Tensor, labels: Tensor) -> float:
    """The mean squared distance of samples to the mean of their own digit, unbiased."""
    groups = [features[labels == label].double() for label in labels[labels >= 0].unique()]
    total = sum(float((group - group.mean(0)).square().sum()) for group in groups)
    return total / max(sum(len(group) - 1 for group in groups), 1)
