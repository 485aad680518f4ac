"""Assignment 8, after notebook 08: each stream attends to the environment of the others (CoDi sect. 3.4)."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F


def others(tokens: Mapping[str, Tensor]) -> dict[str, Tensor | None]:
    """What each stream sees: V_B(z_t^B) of all streams B but itself, one behind the other.

    Args:
        tokens: for each stream its tokens (b, n, d); n differs from stream to stream.

    Returns:
        For each stream (b, m, d), the others in alphabetical order, so that the order of outputs is no input;
        None where there is no other stream.
    """
    env: dict[str, Tensor | None] = {}
    for name in tokens:
        seen = [tokens[other] for other in sorted(tokens) if other != name]
        env[name] = torch.cat(seen, dim=1) if seen else None
    return env


def attend(q: Tensor, k: Tensor, v: Tensor, present: Tensor) -> Tensor:
    """softmax(q kᵀ / √d) v over those tokens that are present, and over one key of zeros more, whose value is zero.

    That key lets a place take nothing. It is also all that is left where no token is present.

    Args:
        q: (b, p, d), from the places of one stream. k, v: (b, n, d), from the tokens of the others.
        present: bool (b, n); False for a token that must not be attended to.

    Returns:
        (b, p, d).
    """
    k, v = F.pad(k, (0, 0, 1, 0)), F.pad(v, (0, 0, 1, 0))  # b n+1 d
    present = F.pad(present, (1, 0), value=True)  # b n+1
    scores = q @ k.transpose(1, 2) / q.shape[-1] ** 0.5  # b p n+1
    return scores.masked_fill(~present[:, None], -torch.inf).softmax(dim=-1) @ v
