"""Joint generation: which stream sees which environment, and the losses that teach it: L_Cross, L_Con and L_Read."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from codi_minimal.alignment.environment import CLOCK
from codi_minimal.prompts.bridging import clip_loss

WIRINGS = ("others", "own", "pooled", "off")
Wiring: TypeAlias = str | Mapping[str, Sequence[str]]


def wire(
    tokens: Mapping[str, Tensor],
    wiring: Wiring = "others",
    given: Sequence[Tensor] = (),
) -> dict[str, Tensor | None]:
    """The environment (b, n, d_env) of each stream, out of the tokens V_m(z_t^m) of all streams. CoDi sect. 3.4.

    - "others": the tokens of all other streams (the paper); clock tokens only for streams that have a clock themselves.
    - "own": a stream's own tokens, what the paper's public code does: streams learn nothing of each other.
    - "pooled": one token for each other stream, the mean of its tokens, which has no clock.
    - "off": nothing.
    - a mapping: of the others, only those that it names for a stream; for instance the text alone, as a bridge.

    Args:
        tokens: for each stream its tokens (b, summary [+ clock], d_env).
        given: tokens of prompts, which every stream sees as it sees other streams, but under "own" and "off".

    Returns:
        For each stream its environment, or None where there is nothing to see.

    Raises:
        ValueError: on an unknown wiring.
    """
    check_wiring(wiring)
    if wiring == "off":
        return dict.fromkeys(tokens)
    if wiring == "own":
        return dict(tokens)
    env: dict[str, Tensor | None] = {}
    for name, own in tokens.items():
        # sorted: the order of outputs is no input
        seen = sorted(tokens) if isinstance(wiring, str) else sorted(set(wiring.get(name, ())) & set(tokens))
        others = [*(tokens[other] for other in seen if other != name), *given]
        env[name] = gather(others, own.shape[1], wiring) if others else None
    return env


def check_wiring(wiring: Wiring) -> None:
    """ValueError lists the wirings there are; a mapping's values are sequences of names."""
    if isinstance(wiring, Mapping):
        if wrong := {n: seen for n, seen in wiring.items() if isinstance(seen, str) or not isinstance(seen, Sequence)}:
            raise ValueError(f"wiring: expected a sequence of names for each stream, got {wrong}")
    elif wiring not in WIRINGS:
        raise ValueError(f"expected a wiring out of {', '.join(WIRINGS)}, or a mapping, got {wiring!r}")


def gather(streams: Sequence[Tensor], n: int, wiring: Wiring = "others") -> Tensor:
    """One sequence of tokens out of those of several streams, for a stream that has n tokens itself.

    Summary tokens come first: a stream without a clock takes no more of the others.

    Args:
        streams: tokens (b, n_i, d_env) of each. n: how many of each are taken, at most.
        wiring: "pooled" takes their mean.

    Returns:
        (b, Σ min(n, n_i), d_env); under "pooled" (b, number of streams, d_env).
    """
    if wiring == "pooled":
        means = [F.pad(x[..., :-CLOCK].mean(dim=1, keepdim=True), (0, CLOCK)) for x in streams]
        streams = [F.normalize(x, dim=-1) * x.shape[-1] ** 0.5 for x in means]
    return torch.cat([x[:, :n] for x in streams], dim=1)


def contrastive_loss(x: Tensor, y: Tensor, logit_scale: Tensor, positives: Tensor | None = None) -> Tensor:
    """L_Con between the tokens V_A(z_t^A) and V_B(z_t^B): token i of one is to match token i of the other.

    The similarity of two samples is the cosine of their tokens, of those that both streams have, joined to one vector;
    a clock's codes, which are the same on both sides, with them.
    """
    n = min(x.shape[1], y.shape[1])
    x, y = (F.normalize(v[:, :n].flatten(1), dim=-1) for v in (x, y))
    return clip_loss(x, y, logit_scale, positives)


def reading_loss(
    reader: Callable[[Tensor, Tensor], Tensor], env: Tensor, streams: Sequence[Tensor], cond: Tensor
) -> Tensor:
    """L_Read = ‖c + R(c, V) − (c + Σ_B C_B) / n‖², c a prompt or none: unfinished streams are read as prompts.

    Not in the paper. R is a denoiser's attention from its condition to the environment. Bridging alignment has put the
    prompts C_B(x_B) of all modalities into one space that every denoiser understands; here V learns to say, of z_t^B
    alone, what the frozen C_B says of the clean x_B, as far as it can be known. The least squares are the mean of all
    that is possible, a short vector while little is known. It takes no pair, so any stream learns to read any other.

    Args:
        reader: (c (b, 1, d), env) → residual (b, 1, d).
        env: (b, n, d_env), tokens of all `streams`, and of nothing else.
        streams: C_B(x_B) (b, d) of each of them.
        cond: (b, d); rows of zeros are no prompt.
    """
    said = (cond.abs().sum(dim=-1, keepdim=True) > 0).to(cond)                              # b 1
    mixture = (cond + sum(streams)) / (said + len(streams))
    return (cond + reader(cond[:, None], env)[:, 0] - mixture).square().sum(dim=-1).mean()


def cross_loss(
    loss: Callable[..., Tensor],
    denoisers: Mapping[str, Callable],
    env: Mapping[str, Tensor | None],
    z0: Mapping[str, Tensor],
    t: Tensor,
    eps: Mapping[str, Tensor],
    cond: Tensor,
    rows: Mapping[str, int] | None = None,
) -> dict[str, Tensor]:
    """L_Cross^A = ‖ε − ε_A(z_t^A, V_B(z_t^B), t, C)‖² for each stream A of a pair (A, B). CoDi sect. 3.4.

    Both streams are at the same t, as they are when they are sampled side by side.

    Args:
        loss: `diffusion_loss` with its schedule and prediction filled in: (net, z0, t, eps, cond=, env=) → scalar.
        denoisers, env, z0, eps: one for each of the two streams; `env` is what `wire` made of the tokens V(z_t).
        t: (b,) zero-based. cond: (b, d), the same prompt for both.
        rows: how many of the b samples a stream's loss is taken of, the first; None: all. Some denoisers cost more.

    Returns:
        One scalar a stream. The whole objective is Σ_A L_Cross^A + λ L_Con in the paper, and λ (L_Con + L_Read) here.
    """
    if len(z0) != 2:
        raise ValueError(f"expected a pair of streams, got {tuple(z0)}")
    losses = {}
    for name, z in z0.items():
        n = len(z) if rows is None else rows[name]
        tokens = None if env[name] is None else env[name][:n]
        losses[name] = loss(denoisers[name], z[:n], t[:n], eps[name][:n], cond=cond[:n], env=tokens)
    return losses
