"""Assignment 9, after notebook 09: how far can a figure be trusted (Wilson 1927)?"""

from torch import Tensor


def wilson(k: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """The interval of all shares q that k hits in n samples do not contradict: |k/n − q| ≤ z √(q (1 − q)/n).

    Note that q, not k/n, is below the root. Square both sides: the two ends solve a quadratic equation.

    Args:
        k: hits, 0 to n. n: independent samples, at least 1. z: 1.96 for a level of 95 %.

    Returns:
        The lower and the upper end, both in [0, 1].
    """
    raise NotImplementedError


def paired(a: Tensor, b: Tensor, z: float = 1.959964) -> tuple[float, float]:
    """An interval d̄ ± z s / √n for how much more often A is right than B, if both answered the same n prompts.

    d_i is 1 if A alone is right on prompt i, −1 if B alone is right, and 0 otherwise. d̄ is the mean of the d_i, and
    s is their standard deviation, with n − 1 below the fraction line.

    Args:
        a, b: bool (n,), whether A and B are right; n at least 2. z: 1.96 for a level of 95 %.

    Returns:
        The lower and the upper end.
    """
    raise NotImplementedError
