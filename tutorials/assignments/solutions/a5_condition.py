"""Assignment 5, after notebook 05: the two ways of a condition into a U-Net (Rombach et al. 2022, section 3.3)."""

from einops import rearrange
from torch import Tensor
from torch.nn import functional as F


def modulate(h: Tensor, emb: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """(1 + scale) · h + shift, where scale and shift are the two halves of W SiLU(emb) + b, in this order.

    It changes each channel as a whole, in the same way at all places.

    Args:
        h: feature maps, (b, c, ...), with one or two axes of places.
        emb: embedding of t and C, (b, e).
        weight, bias: W and b, (2c, e) and (2c,), as of `nn.Linear`.

    Returns:
        (b, c, ...).
    """
    scale, shift = F.linear(F.silu(emb), weight, bias).chunk(2, dim=1)  # b c
    places = (..., *[None] * (h.ndim - 2))  # b c 1 …, to broadcast over all places
    return (1 + scale[places]) * h + shift[places]


def cross_attend(x: Tensor, tokens: Tensor, w_q: Tensor, w_k: Tensor, w_v: Tensor, heads: int) -> Tensor:
    """softmax(q kᵀ / √d) v for each head, where d is the number of channels of a head.

    Here each place decides by itself which token of the condition it uses.

    Args:
        x: places, (b, n, c). tokens: the condition, (b, m, e).
        w_q, w_k, w_v: (c, c), (c, e) and (c, e), as of `nn.Linear` without a bias: q = x W_qᵀ.
        heads: they divide c; the first head has the first c / heads channels of q, k and v, and so on.

    Returns:
        (b, n, c), the heads side by side.
    """
    q, k, v = (rearrange(z, "b n (h d) -> b h n d", h=heads) for z in (x @ w_q.T, tokens @ w_k.T, tokens @ w_v.T))
    weights = (q @ k.transpose(2, 3) / q.shape[-1] ** 0.5).softmax(dim=-1)  # b h n m
    return rearrange(weights @ v, "b h n d -> b n (h d)")
