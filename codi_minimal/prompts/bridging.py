"""Bridging alignment: the contrastive loss that brings all prompt encoders into one space."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Temperature(nn.Module):
    """The learned scale s = 1/τ of the contrastive loss, kept in [1, 100].

    CLIP's rule (Radford et al. 2021, section 2.5). Elsewhere: open_clip `logit_scale`.

    >>> round(Temperature()().item(), 2)
    14.29
    """

    def __init__(self, tau: float = 0.07):
        super().__init__()
        if not 0.01 <= tau <= 1:
            raise ValueError(f"tau expected in [0.01, 1], got {tau}")
        self.log_scale = nn.Parameter(torch.tensor(-math.log(tau)))

    def forward(self) -> Tensor:
        # The parameter is clamped, not the result: a clamped result would have no gradient.
        with torch.no_grad():
            self.log_scale.clamp_(0, math.log(100))
        return self.log_scale.exp()


def repeated(texts: Sequence[str]) -> Tensor:
    """Which strings of a batch are equal: a bool matrix (b, b), to be given as `positives`.

    The caller replaces captions of the same meaning by one key, such as `data.meaning`.

    >>> repeated(["seven", "red", "seven"])[0].tolist()
    [True, False, True]
    """
    index: dict[str, int] = {}
    ids = torch.tensor([index.setdefault(text, len(index)) for text in texts], dtype=torch.long)
    return ids[:, None] == ids[None, :]


def clip_loss(x: Tensor, y: Tensor, logit_scale: Tensor | float, positives: Tensor | None = None) -> Tensor:
    """Symmetric InfoNCE between two batches of embeddings.

    L = (L_xy + L_yx) / 2,  L_xy = −mean_i Σ_j p_ij log softmax_j(s x_i·y_j),  p_ij = P_ij / Σ_j P_ij

    Section 3.2 of the paper; with P the identity it is CLIP's loss. Elsewhere: open_clip `ClipLoss`.
    In a small world captions repeat within a batch. Plain InfoNCE would push an item away from a caption that
    is true of it. With `positives` all captions that match share the target.

    Args:
        x, y: (b, d), unit norm, row i of one belongs to row i of the other.
        logit_scale: s = 1/τ, positive; see `Temperature`.
        positives: P, bool (b, b), P_ij: x_i matches y_j; its diagonal is True. None: only the diagonal is.

    Returns:
        A scalar. Its least is the mean entropy of the targets p, 0 when no caption repeats.

    Raises:
        ValueError: if shapes differ, or `positives` is not such a matrix. Its diagonal is read on the CPU alone.
    """
    b = len(x)
    if x.ndim != 2 or x.shape != y.shape or not b:
        raise ValueError(f"clip_loss expected two (b, d) alike, got {tuple(x.shape)} and {tuple(y.shape)}")
    positives = torch.eye(b, dtype=torch.bool) if positives is None else positives
    fits = positives.dtype == torch.bool and positives.shape == (b, b)
    # reading a GPU's diagonal would wait for the GPU
    if not fits or (positives.device.type == "cpu" and not positives.diagonal().all()):
        got = f"{positives.dtype} {tuple(positives.shape)}"
        raise ValueError(f"positives expected bool ({b}, {b}) with a True diagonal, got {got}")
    # never in bfloat16: at a scale of 50 its logits would be off by 0.15
    with torch.autocast(x.device.type, enabled=False):
        wide = torch.promote_types(x.dtype, torch.float32)
        logits = logit_scale * x.to(wide) @ y.to(wide).T  # b b
    match = positives.to(logits)
    xy = F.cross_entropy(logits, match / match.sum(dim=1, keepdim=True))
    yx = F.cross_entropy(logits.T, match.T / match.T.sum(dim=1, keepdim=True))
    return (xy + yx) / 2
