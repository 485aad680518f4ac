"""Which stream sees the environment of which others."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

import torch.nn.functional as F
from torch import Tensor

from codi_minimal.alignment.environment import CLOCK, Environment

WIRINGS = ("others", "own", "pooled", "off")
Wiring: TypeAlias = str | Mapping[str, Sequence[str]]


def wire(
    tokens: Mapping[str, Tensor | None], wiring: Wiring = "others", prompts: Sequence[Tensor] = ()
) -> dict[str, Environment | None]:
    """The environment of each stream, out of the tokens V_m(z_t^m) of all streams. CoDi sect. 3.4.

    - "others": the tokens of all other streams. This is the paper's text.
    - "own": a stream's own tokens. This is what the paper's public code does; streams learn nothing of each other.
    - "pooled": one token for each other stream, the mean of its tokens, which has no clock.
    - "off": nothing.
    - a mapping: of the other streams, only those that it names for a stream.

    Args:
        tokens: for each stream its tokens (b, n, d_env), or None where no stream needs them.
        prompts: tokens of prompts. Every stream sees them as it sees other streams, except under "own" and "off".

    Returns:
        For each stream its environment, or None where there is nothing to see.

    Raises:
        ValueError: on an unknown wiring.
    """
    check_wiring(wiring)
    env: dict[str, Environment | None] = {}
    for name in tokens:
        # sorted, because the order of the outputs must not matter
        others = [x for other in sorted(_sources(name, tokens, wiring)) if (x := tokens[other]) is not None]
        others += [] if wiring in ("own", "off") else prompts
        env[name] = gather(others, wiring) if others else None
    return env


def _sources(name: str, streams: Iterable[str], wiring: Wiring) -> set[str]:
    """The streams that stream `name` sees."""
    if wiring in ("own", "off"):
        return {name} if wiring == "own" else set()
    return set(streams) & set(streams if isinstance(wiring, str) else wiring.get(name, ())) - {name}


def check_wiring(wiring: Wiring) -> None:
    """ValueError lists the wirings there are; a mapping's values are sequences of names."""
    if isinstance(wiring, Mapping):
        if wrong := {n: seen for n, seen in wiring.items() if isinstance(seen, str) or not isinstance(seen, Sequence)}:
            raise ValueError(f"wiring: expected a sequence of names for each stream, got {wrong}")
    elif wiring not in WIRINGS:
        raise ValueError(f"expected a wiring out of {', '.join(WIRINGS)}, or a mapping, got {wiring!r}")


def gather(streams: Sequence[Tensor], wiring: Wiring = "others") -> Environment:
    """The tokens (b, n_i, d_env) of several streams as one environment.

    Under "pooled" each stream is one token, the mean of its own, scaled to their norm, without a clock.
    """
    if wiring == "pooled":
        means = [F.pad(x[..., :-CLOCK].mean(dim=1, keepdim=True), (0, CLOCK)) for x in streams if x.shape[1]]
        streams = [F.normalize(x, dim=-1) * x.shape[-1] ** 0.5 for x in means] or streams
    return Environment.of(streams)
