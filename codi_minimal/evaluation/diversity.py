"""What a prompt leaves open must stay open: entropy of open attributes, and variety within a digit."""

from collections.abc import Sequence
from math import log

import torch
from torch import Tensor


def normalised_entropy(values: Tensor, legal: Sequence[int]) -> float:
    """Entropy of the values read, over its maximum: 1 is as varied as can be, 0 is always the same.

    H = (-Σ p̂ log p̂ + (S - 1) / 2n) / log K, S of the K values being seen: the second term takes away the
    bias of counting few samples (Miller 1955).

    Args:
        values: (n,) whole numbers; those that are not legal (what is unreadable is -1) are left out.
        legal: the K values that the attribute can take.
    """
    counts = (values[:, None] == torch.tensor(legal)).sum(dim=0)
    n = int(counts.sum())
    if n == 0:
        return 0.0
    p = counts.double() / n
    seen = p > 0
    entropy = -(p[seen] * p[seen].log()).sum().item() + (int(seen.sum()) - 1) / (2 * n)
    return min(1.0, entropy / log(len(legal)))


def spread_ratio(features: Tensor, labels: Tensor, real: Tensor, real_labels: Tensor) -> float:
    """Variance within a digit, generated over real: at 1 writing and voices vary as in the data.

    Args:
        features, real: "n d" features of what was generated, and of real renders.
        labels, real_labels: (n,) digits, by which the variance is taken; negative ones are left out.
    """
    return _within(features, labels) / max(_within(real, real_labels), 1e-12)


def _within(features: Tensor, labels: Tensor) -> float:
    """Mean over samples of the squared distance to the mean of their own digit, unbiased."""
    groups = [features[labels == label].double() for label in labels[labels >= 0].unique()]
    groups = [group for group in groups if len(group) > 1]
    total = sum(float((group - group.mean(0)).square().sum()) for group in groups)
    return total / max(sum(len(group) - 1 for group in groups), 1)
