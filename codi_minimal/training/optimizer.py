"""AdamW, and the learning rate of each step."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor

SCHEDULES = ("cosine", "constant")


def adamw(
    weights: Iterable[Tensor], lr: float, betas: tuple[float, float], weight_decay: float, device: torch.device
) -> torch.optim.AdamW:
    """AdamW on `weights`, all on `device`; biases, gains and scalars are never decayed."""
    weights = list(weights)
    groups = [
        {"params": [w for w in weights if w.ndim >= 2]},
        {"params": [w for w in weights if w.ndim < 2], "weight_decay": 0.0},
    ]
    # fused: on the CPU three times as fast as foreach
    fused = device.type in ("cpu", "cuda")
    return torch.optim.AdamW(groups, lr=lr, betas=betas, weight_decay=weight_decay, fused=fused)


def learning_rate(i: int, steps: int, lr: float, warmup: int, schedule: str) -> float:
    """The rate of step i: lr · (i + 1) / warmup, then lr, or for "cosine" lr · (1 + cos πu) / 2, u in [0, 1).

    >>> [round(learning_rate(i, 9, 1.0, 2, "cosine"), 2) for i in (0, 1, 2, 5, 8)]
    [0.5, 1.0, 1.0, 0.61, 0.05]
    """
    warmup = min(warmup, steps // 2)
    if i < warmup:
        return lr * (i + 1) / warmup
    if schedule == "constant":
        return lr
    return lr * 0.5 * (1 + math.cos(math.pi * (i - warmup) / (steps - warmup)))
