"""Composable conditioning: any set of prompts is one condition."""

from collections.abc import Sequence

import torch
from einops import einsum
from torch import Tensor


def mix(embeddings: Sequence[Tensor], weights: Sequence[float] | None = None) -> Tensor:
    """The weighted mean of several prompts: C = Σ_i w_i C_i, Σ_i w_i = 1.

    Section 3.2 of the paper, equation for C(x_t, x_i, x_v, x_a). The result is not scaled to unit norm: a short C
    means that the prompts differ.

    Args:
        embeddings: k tensors (b, d), or (1, d) to be shared by the batch.
        weights: k non-negative numbers of any scale; None weighs all alike.

    Returns:
        (b, d), with norm ≤ 1.

    Raises:
        ValueError: if shapes or lengths do not fit, or a weight is negative, not finite, or all are zero.

    >>> mix([torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])], [3, 1])
    tensor([[0.7500, 0.2500]])
    """
    k, shapes = len(embeddings), [tuple(e.shape) for e in embeddings]
    if k == 0 or any(len(s) != 2 for s in shapes) or len({s[1] for s in shapes}) > 1:
        raise ValueError(f"mix expected a non-empty list of (b, d) with one d, got shapes {shapes}")
    b = max(s[0] for s in shapes)
    if any(s[0] not in (1, b) for s in shapes):
        raise ValueError(f"mix expected batches of {b} or 1, got shapes {shapes}")
    stacked = torch.stack([e.expand(b, -1) for e in embeddings])  # k b d
    w = torch.as_tensor([1.0] * k if weights is None else weights, dtype=torch.float64).to(stacked.device)
    if w.shape != (k,):
        raise ValueError(f"mix expected {k} weights, got {tuple(w.shape)}")
    if not (w >= 0).all() or not w.isfinite().all():
        raise ValueError(f"mix expected finite weights >= 0, got {w.tolist()}")
    if not w.any():
        raise ValueError("mix expected at least one weight above 0, got only zeros")
    w = w / w.max()  # else the sum of very large weights would be infinite
    return einsum((w / w.sum()).to(stacked), stacked, "k, k b d -> b d")
