"""Ours: a denoiser is trained on texts, on prompts of its own modality, and on mixtures of them, with a little noise.

A denoiser that has only seen C_text(y) does worse on C_audio(y), because contrastive training leaves each modality in
a cone of its own (Liang et al. 2022).
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Generator, Tensor


def mixed_condition(
    true: Sequence[Tensor], extra: Tensor | None, generator: Generator, p_null: float, noise: float, p_single=(0.4, 0.2)
) -> Tensor:
    """One condition (b, d) a sample: a single prompt or C = Σ w_i C_i of several, with noise; zeros for no prompt.

    Args:
        true: two or more batches (b, d) of prompts that are true of the sample, the first two of different modalities.
        extra: prompts (b, d) that say nothing about the sample, or None. They occur in mixtures only.
        p_null: share of zero rows. noise: σ a component.
        p_single: how often the condition is the first prompt, and how often the second; otherwise it is a mixture.
    """
    b, device = len(true[0]), true[0].device
    pool = torch.stack([*true, *([] if extra is None else [extra])])  # k b d

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator).to(device)

    w = -(1 - uniform(len(pool), b)).log() * (uniform(len(pool), b) < 0.6)  # Dirichlet, some left out
    certain = torch.randint(len(true), (b,), generator=generator).to(device)
    w = w + F.one_hot(certain, len(pool)).T * (0.3 + uniform(b))  # one true prompt at least
    kind = uniform(b)
    single = (kind >= p_single[0]).long()
    w = torch.where((kind < sum(p_single))[None], F.one_hot(single, len(pool)).T.to(w), w)
    cond = torch.einsum("kb,kbd->bd", w / w.sum(dim=0), pool)
    # a mixture is shorter than a single prompt of the same meaning; half of them are scaled to the same length
    cond = torch.where((uniform(b) < 0.5)[:, None], F.normalize(cond, dim=-1), cond)
    cond = cond + noise * torch.randn(cond.shape, generator=generator).to(device)
    return cond * (uniform(b) >= p_null)[:, None]
