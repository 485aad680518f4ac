"""Assignment 7, after notebook 07: composable conditioning, any set of prompts as one condition (CoDi sect. 3.2)."""

from collections.abc import Sequence

from torch import Tensor


def mix(embeddings: Sequence[Tensor], weights: Sequence[float] | None = None) -> Tensor:
    """C = Σ_i w_i C_i, with the weights brought to Σ_i w_i = 1.

    Args:
        embeddings: k tensors (b, d); some may be (1, d), one prompt for the whole batch.
        weights: k numbers, not negative, not all zero, of any scale. None: all alike.

    Returns:
        (b, d). It is not brought back to unit length: prompts that point away from each other give a short condition.

    Raises:
        ValueError: on a negative weight, or if all are zero.
    """
    weights = [1.0] * len(embeddings) if weights is None else list(weights)
    if min(weights) < 0 or sum(weights) == 0:
        raise ValueError(f"expected weights that are not negative and not all zero, got {weights}")
    # a (1, d) is broadcast by the sum itself
    return sum(w / sum(weights) * embedding for w, embedding in zip(weights, embeddings, strict=True))
