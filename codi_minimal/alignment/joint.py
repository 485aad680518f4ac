"""The joint loss of latent alignment, L_Cross + λ L_Con (CoDi sect. 3.4)."""

from collections.abc import Callable, Mapping

import torch.nn.functional as F
from torch import Tensor

from codi_minimal.alignment.environment import Environment
from codi_minimal.alignment.wiring import wire
from codi_minimal.prompts.bridging import clip_loss


def joint_loss(
    loss: Callable[..., Tensor],
    denoisers: Mapping[str, Callable],
    z0: Mapping[str, Tensor],
    t: Tensor,
    eps: Mapping[str, Tensor],
    cond: Tensor,
    tokens: Mapping[str, Tensor],
    logit_scale: Tensor,
    lam: float,
    positives: Tensor | None = None,
    env: Mapping[str, Environment | None] | None = None,
    compared: Mapping[str, Tensor] | None = None,
) -> tuple[Tensor, dict[str, Tensor], Tensor]:
    """Σ_A ‖ε − ε_A(z_t^A, V_B(z_t^B), t, C)‖² + λ L_Con for a pair of streams A, B at the same t. CoDi sect. 3.4.

    Args:
        loss: `diffusion_loss` with its schedule and prediction filled in: (net, z0, t, eps, cond=, env=) → scalar.
        denoisers, z0, eps: of both streams. A stream may have fewer samples than the batch: then its z0 has the first.
        t: (b,) zero-based, the same for both streams. cond: C (b, d), the same for both.
        tokens: V_m(z_t^m) (b, n, d_env) of both streams. logit_scale, positives: see `contrastive_loss`. lam: λ.
        env, compared: Ours: what each stream sees, and tokens for L_Con, instead of `tokens`.

    Returns:
        The loss, L_Cross of each stream, and L_Con.

    Raises:
        ValueError: if there are more or fewer than two streams.
    """
    if len(z0) != 2:
        raise ValueError(f"expected a pair of streams, got {tuple(z0)}")
    env, compared = wire(tokens) if env is None else env, tokens if compared is None else compared
    cross = {}
    for name, z in z0.items():
        n = len(z)
        seen = None if env[name] is None else Environment(*(x[:n] for x in env[name]))
        cross[name] = loss(denoisers[name], z, t[:n], eps[name][:n], cond=cond[:n], env=seen)
    l_con = contrastive_loss(*compared.values(), logit_scale, positives)
    return sum(cross.values()) + lam * l_con, cross, l_con


def contrastive_loss(x: Tensor, y: Tensor, logit_scale: Tensor, positives: Tensor | None = None) -> Tensor:
    """L_Con between the tokens V_A(z_t^A) (b, n, d_env) and V_B(z_t^B) (b, m, d_env): sample i matches sample i.

    The similarity of two samples is the cosine of their first min(n, m) tokens, joined to one vector: the summary
    tokens, and the clock tokens if both have them. The codes of the clock are part of the vector.

    Args:
        logit_scale, positives: as of `clip_loss`.

    Returns:
        A scalar.
    """
    n = min(x.shape[1], y.shape[1])
    x, y = (F.normalize(v[:, :n].flatten(1), dim=-1) for v in (x, y))
    return clip_loss(x, y, logit_scale, positives)
