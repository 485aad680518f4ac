"""Muon: steps that move every direction of a matrix alike."""

import torch
from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # Jordan's quintic: singular values come near 1 in five turns
GAIN = 20.0  # a matrix's step in units of AdamW's learning rate


@torch.no_grad()
def orthogonalize(m: Tensor, turns: int = 5) -> Tensor:
    """About U Vᵀ of M = U S Vᵀ "r c", by Newton–Schulz: X ← a X + (b A + c A²) X, A = X Xᵀ, from M / ‖M‖.

    Singular values come out between 0.7 and 1.2, which is as good as 1 here, and cheaper. Jordan et al. 2024.
    """
    a, b, c = COEFFICIENTS
    x = m / (m.norm() + 1e-7)
    wide = m.shape[0] <= m.shape[1]
    x = x if wide else x.T
    for _ in range(turns):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x if wide else x.T


class Muon(torch.optim.AdamW):
    """AdamW, but for groups with "matrices": their step is −20 η √max(1, r/c) · orthogonalize(g + μ (m − g)).

    Adam's step of a matrix is nearly of low rank: a few directions of the gradient outweigh all others. Muon (Jordan et
    al. 2024) takes the momentum m, and moves along all of its directions alike. Kernels "o i h w" are matrices
    "o (i h w)". Elsewhere: `torch.optim.Muon` (matrices alone; momentum μ = 0.95, Nesterov, no weight decay).

    Args:
        groups: as AdamW takes them, each with "matrices": whether its parameters are stepped so.
        lr: η, of both. betas, weight_decay: AdamW's. momentum: μ.
    """

    def __init__(self, groups, lr: float, momentum: float = 0.95, **adamw):
        super().__init__(groups, lr=lr, **adamw)
        self.momentum = momentum

    @torch.no_grad()
    def step(self) -> None:
        every = self.param_groups
        for group in every:
            for p in group["params"] if group["matrices"] else ():
                if p.grad is not None:
                    self._step_matrix(p, group["lr"])
        self.param_groups = [group for group in every if not group["matrices"]]
        super().step()
        self.param_groups = every

    def _step_matrix(self, p: Tensor, lr: float) -> None:
        state = self.state[p]
        if "momentum" not in state:
            state |= {"momentum": torch.zeros_like(p), "step": torch.zeros(())}  # AdamW, when loaded, looks for a step
        m = state["momentum"].lerp_(p.grad, 1 - self.momentum)
        direction = p.grad.lerp(m, self.momentum).flatten(1)                    # r c
        r, c = direction.shape
        p.add_(orthogonalize(direction).view_as(p), alpha=-GAIN * lr * max(1, r / c) ** 0.5)
