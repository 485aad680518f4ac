"""How far apart two modalities lie in a space that they are said to share."""

from typing import NamedTuple

from torch import Tensor


class ModalityGap(NamedTuple):
    """Distance between two clouds' centroids, in [0, 2], and mean cosine of matched pairs, in [-1, 1]."""

    distance: float
    cosine: float


def modality_gap(x: Tensor, y: Tensor) -> ModalityGap:
    """The gap Δ = ‖mean_i x_i − mean_i y_i‖, and the mean of x_i·y_i beside it.

    Liang et al. 2022 (arXiv 2203.02053): contrastive training leaves each modality in its own cone. A
    diffuser that was trained on one modality's prompts reads another's across this gap.

    Args:
        x, y: (b, d), unit norm, row i of one belongs to row i of the other.

    Raises:
        ValueError: if shapes differ or rows are not of unit norm.
    """
    if x.ndim != 2 or x.shape != y.shape or len(x) == 0:
        raise ValueError(f"modality_gap expected two (b, d) alike, got {tuple(x.shape)} and {tuple(y.shape)}")
    for cloud in (x, y):
        if not ((cloud.norm(dim=-1) - 1).abs() < 1e-3).all():
            raise ValueError(f"modality_gap expected unit norm, got {cloud.norm(dim=-1).tolist()[:8]}")
    distance = (x.mean(dim=0) - y.mean(dim=0)).norm()
    return ModalityGap(distance.item(), (x * y).sum(dim=-1).mean().item())
