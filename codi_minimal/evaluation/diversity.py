"""What a prompt leaves open must stay open: the entropy of open attributes, and the variety within a digit."""

from collections.abc import Sequence
from math import log

import torch
from torch import Tensor

from codi_minimal.evaluation.readers import LEGAL
from codi_minimal.evaluation.statistics import Estimate, jackknife


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
    """`normalised_entropy` of what was read of an attribute (n,), with an interval, and its bias at this n."""
    return jackknife(lambda i: normalised_entropy(values[i], LEGAL[attribute]), [len(values)], (0, 1))


def spread_ratio(features: Tensor, labels: Tensor, real: Tensor, real_labels: Tensor) -> float:
    """The variance within a digit, generated over real: at 1, handwriting and voices vary as they do in the data.

    Args:
        features, real: "n d" features of what was generated, and of real renders.
        labels, real_labels: (n,) digits; samples whose digit is negative are left out.
    """
    return _within(features, labels) / max(_within(real, real_labels), 1e-12)


def spread_estimate(logits: Tensor, features: Tensor, real_logits: Tensor, real: Tensor, items: Sequence) -> Estimate:
    """`spread_ratio` of what a judge finds, with an interval; the items are those of the real renders."""
    x, y = logits.argmax(1), real_logits.argmax(1)
    return jackknife(lambda i, j: spread_ratio(features[i], x[i], real[j], y[j]), [len(x), *items])


def _within(features: Tensor, labels: Tensor) -> float:
    """The mean squared distance of samples to the mean of their own digit, unbiased."""
    groups = [features[labels == label].double() for label in labels[labels >= 0].unique()]
    total = sum(float((group - group.mean(0)).square().sum()) for group in groups)
    return total / max(sum(len(group) - 1 for group in groups), 1)
