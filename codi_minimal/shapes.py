"""How shapes are written in error messages."""

from collections.abc import Sequence


def batch_of(shape: Sequence[int]) -> str:
    """A batch of items of this shape, as a reader would write it.

    >>> batch_of((4, 8, 8))
    '(b, 4, 8, 8)'
    """
    return f"({', '.join(['b', *map(str, shape)])})"
