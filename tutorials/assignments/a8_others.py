"""Assignment 8, after notebook 08: each stream attends to the environment of the others (CoDi sect. 3.4)."""

from collections.abc import Mapping

from torch import Tensor


def others(tokens: Mapping[str, Tensor]) -> dict[str, Tensor | None]:
    """What each stream sees: V_B(z_t^B) of all streams B but itself, one behind the other.

    Args:
        tokens: for each stream its tokens (b, n, d); n differs from stream to stream.

    Returns:
        For each stream (b, m, d), the others in alphabetical order, so that the order of outputs is no input;
        None where there is no other stream.
    """
    raise NotImplementedError


def attend(q: Tensor, k: Tensor, v: Tensor, present: Tensor) -> Tensor:
    """softmax(q kᵀ / √d) v over those tokens that are present, and over one key of zeros more, whose value is zero.

    That key lets a place take nothing. It is also all that is left where no token is present.

    Args:
        q: (b, p, d), from the places of one stream. k, v: (b, n, d), from the tokens of the others.
        present: bool (b, n); False for a token that must not be attended to.

    Returns:
        (b, p, d).
    """
    raise NotImplementedError
