"""The joint loss of latent alignment, L_Cross + λ L_Con (CoDi sect. 3.4)."""

from collections.abc import Callable, Mapping

import torch.nn.functional as F
from torch import Tensor

from codi_minimal.prompts.bridging import clip_loss


def joint_loss(
    loss: Callable[..., Tensor],
    denoisers: Mapping[str, Callable],
    z0: Mapping[str, Tensor],
    t: Tensor,
    eps: Mapping[str, Tensor],
    cond: Tensor,
    env: Mapping[str, Tensor | None],
    l_con: Tensor,
    lam: float,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Σ_A ‖ε − ε_A(z_t^A, V_B(z_t^B), t, C)‖² + λ L_Con for a pair of streams A, B at the same t. CoDi sect. 3.4.

    Args:
        loss: `diffusion_loss` with its schedule and prediction filled in: (net, z0, t, eps, cond=, env=) → scalar.
        denoisers, z0, eps: one for each of the two streams. A stream may have fewer samples than the batch, the first.
        t: (b,) zero-based, the same for both streams. cond: C (b, d), the same for both.
        env: for each stream its environment, as `wire` makes it of the tokens V_B(z_t^B), or None.
        l_con: `contrastive_loss` of the tokens of both. lam: λ.

    Returns:
        The loss, and L_Cross of each stream.

    Raises:
        ValueError: if there are more or fewer than two streams.
    """
    if len(z0) != 2:
        raise ValueError(f"expected a pair of streams, got {tuple(z0)}")
    cross = {}
    for name, z in z0.items():
        n = len(z)
        cross[name] = loss(denoisers[name], z, t[:n], eps[name][:n], cond=cond[:n], env=env[name])
    return sum(cross.values()) + lam * l_con, cross


def contrastive_loss(x: Tensor, y: Tensor, logit_scale: Tensor, positives: Tensor | None = None) -> Tensor:
    """L_Con between the tokens V_A(z_t^A) (b, n, d_env) and V_B(z_t^B) (b, m, d_env): sample i matches sample i.

    The similarity of two samples is the cosine of their first min(n, m) tokens, joined to one vector. The codes of the
    clock are the same on both sides.
    """
    n = min(x.shape[1], y.shape[1])
    x, y = (F.normalize(v[:, :n].flatten(1), dim=-1) for v in (x, y))
    return clip_loss(x, y, logit_scale, positives)
