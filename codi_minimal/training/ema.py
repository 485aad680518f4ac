"""An exponential moving average of the weights: what is sampled from, and what is shipped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor


class EMA:
    """Averages weights as they are trained: θ̄ ← d θ̄ + (1 − d) θ, d = min(decay, (1 + i) / (10 + i)).

    The ratio makes the average span about the last ninth of a run, however long the run is. A fixed decay would fit
    one length only: over 900 steps, 0.999 would still hold 40 % of the random start. So the bound `decay` counts from
    step 8,990 on (for 0.999); d is 0.9901 after 900 steps and 0.9978 after 4,000. The step number i is an argument, and
    the average is the only state, so that a run is resumed from named tensors alone; torch's `AveragedModel` would copy
    the frozen parts of the modules, too. Elsewhere: diffusers `EMAModel(use_ema_warmup=…)`, DDPM (Ho et al. 2020),
    appendix B, with decay 0.9999.

    Args:
        weights: name -> the live tensor; the averages, `shadow`, have the same names and devices.
        decay: in [0, 1); 0 keeps no memory.

    Raises:
        ValueError: decay is out of range.
    """

    def __init__(self, weights: Mapping[str, Tensor], decay: float = 0.999) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"expected an EMA decay in [0, 1); got {decay}")
        self.decay = decay
        self.weights = dict(weights)
        self.shadow = {name: weight.detach().clone() for name, weight in self.weights.items()}

    @torch.no_grad()
    def update(self, i: int) -> None:
        """Takes in the weights after step i (zero-based)."""
        d = min(self.decay, (1 + i) / (10 + i))
        torch._foreach_lerp_(list(self.shadow.values()), list(self.weights.values()), 1 - d)

    @torch.no_grad()
    def copy_to(self) -> None:
        """Writes the averages over the weights."""
        torch._foreach_copy_(list(self.weights.values()), list(self.shadow.values()))

    @contextmanager
    def swapped(self) -> Iterator[None]:
        """Inside the block the weights are the averages; after it they are back, bit for bit."""
        live = [weight.detach().clone() for weight in self.weights.values()]
        self.copy_to()
        try:
            yield
        finally:
            with torch.no_grad():
                torch._foreach_copy_(list(self.weights.values()), live)
