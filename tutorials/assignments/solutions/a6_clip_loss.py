"""Assignment 6, after notebook 06: the contrastive loss of bridging alignment (CoDi sect. 3.2)."""

from torch import Tensor


def clip_loss(x: Tensor, y: Tensor, logit_scale: float, positives: Tensor) -> Tensor:
    """L = (L_xy + L_yx) / 2 with L_xy = −mean_i Σ_j p_ij log softmax_j(s x_i·y_j) and p_ij = P_ij / Σ_j P_ij.

    L_yx is the same with x and y exchanged: its targets are the columns of P, each divided by its own sum.

    Args:
        x, y: (b, d), unit norm; row i of one belongs to row i of the other.
        logit_scale: s, positive.
        positives: P, bool (b, b): whether y_j is true of x_i. Captions repeat within a batch, so that there may be
            several in a row.

    Returns:
        A scalar.
    """

    def one_way(logits: Tensor, match: Tensor) -> Tensor:
        target = match / match.sum(dim=1, keepdim=True)
        return -(target * logits.log_softmax(dim=1)).sum(dim=1).mean()

    logits, match = logit_scale * x @ y.T, positives.to(x)
    return (one_way(logits, match) + one_way(logits.T, match.T)) / 2
