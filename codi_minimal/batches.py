"""Work of any size in batches: memory grows with a batch, not with the number of samples."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch

BATCH = 64  # samples that pass through the networks at a time


def slices(n: int) -> Iterator[slice]:
    """Slices of n rows, `BATCH` rows each; the last may have fewer.

    >>> [(rows.start, rows.stop) for rows in slices(100)]
    [(0, 64), (64, 100)]
    """
    return (slice(start, min(start + BATCH, n)) for start in range(0, n, BATCH))


def join(parts: Sequence[Any]) -> Any:
    """Batches of one modality, tensors or lists of captions, one after the other."""
    return torch.cat(list(parts)) if isinstance(parts[0], torch.Tensor) else [item for part in parts for item in part]
