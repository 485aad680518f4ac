"""Disjoint shares of a data set: training and validation, and the share of each pairing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import torch
from torch import Tensor

Key = TypeVar("Key")


def split_shares(labels: Tensor, fractions: Mapping[Key, float], seed: int) -> dict[Key, Tensor]:
    """Split the indices of `labels` into disjoint shares. Every label is split in the same proportions.

    Of a label that occurs at least twice, the first and the last share get one index or more. A label that occurs once
    falls into the last share.

    Args:
        labels: integers "n".
        fractions: the fraction of each share, by its key; they sum to 1.
        seed: fixes which index falls into which share.

    Returns:
        For each key the sorted indices of its share. Together they are 0 … n - 1, each once.

    >>> split_shares(torch.tensor([0, 0, 0, 0, 1, 1]), {"a": 0.5, "b": 0.5}, seed=0)
    {'a': tensor([0, 1, 4]), 'b': tensor([2, 3, 5])}
    """
    generator = torch.Generator().manual_seed(seed)
    bounds = torch.tensor(list(fractions.values()), dtype=torch.float64).cumsum(0)[:-1]
    parts = []
    for label in labels.unique():
        of_label = (labels == label).nonzero()[:, 0]
        of_label = of_label[torch.randperm(len(of_label), generator=generator)]
        cuts = (bounds * len(of_label)).round().clamp(1, len(of_label) - 1)
        parts.append(of_label.tensor_split(cuts.long()))
    return {key: torch.cat(share).sort().values for key, share in zip(fractions, zip(*parts, strict=True), strict=True)}
