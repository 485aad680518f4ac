"""The learning rate of each step, and the average of the weights, which is what is sampled from and shipped."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor


def learning_rate(i: int, steps: int, lr: float, warmup: int = 100) -> float:
    """The rate of step i: lr · (i + 1) / warmup at first, then lr · (1 + cos πu) / 2, where u rises from 0 to 1.

    The warm-up takes at most half of all steps.

    >>> [round(learning_rate(i, 9, 1.0, 2), 2) for i in (0, 1, 2, 5, 8)]
    [0.5, 1.0, 1.0, 0.61, 0.05]
    """
    warmup = min(warmup, steps // 2)
    if i < warmup:
        return lr * (i + 1) / warmup
    return lr * 0.5 * (1 + math.cos(math.pi * (i - warmup) / (steps - warmup)))


class EMA:
    """An exponential moving average of the weights: θ̄ ← d θ̄ + (1 − d) θ, d = min(decay, (1 + i) / (10 + i)).

    DDPM (Ho et al. 2020), appendix B. Elsewhere: diffusers `EMAModel(use_ema_warmup=False)`, whose first update copies
    the weights. The ratio makes the average span about the last ninth of a run, however long the run is: after 900
    steps, a fixed decay of 0.999 would still hold 40 % of the random start. The bound takes effect at step 8,990 for
    0.999. torch's `AveragedModel` would copy the frozen parts of the modules, too.

    Args:
        weights: name -> the live tensor. The averages, `shadow`, have the same names, devices and memory layouts.
        decay: in [0, 1), else a ValueError. With 0 the average is the last weights.
    """

    def __init__(self, weights: Mapping[str, Tensor], decay: float = 0.999) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"expected an EMA decay in [0, 1); got {decay}")
        self.decay, self.weights = decay, dict(weights)
        self.shadow = {name: weight.detach().clone() for name, weight in self.weights.items()}

    @torch.no_grad()
    def update(self, i: int) -> None:
        """Moves the average towards the weights after step i (zero-based)."""
        d = min(self.decay, (1 + i) / (10 + i))
        torch._foreach_lerp_(list(self.shadow.values()), list(self.weights.values()), 1 - d)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchanges the weights and their averages, in place and bit for bit."""
        for name, weight in self.weights.items():
            live = weight.clone()
            weight.copy_(self.shadow[name])
            self.shadow[name].copy_(live)
