"""The layers that all networks share. Maps are "b c l" (text) or "b c h w"; p holds a layer's tensors."""

import math

import numpy as np
from numpy import ndarray

from .checkpoint import Params

ERF = np.vectorize(math.erf, otypes=[float])
HEAD = 32  # channels of an attention head in the U-Nets
HEADS = 4  # of the transformers
GROUPS, EPS = 8, 1e-5


def linear(p: Params, x: ndarray) -> ndarray:
    y = x @ p.weight.T
    return y + p.bias if p.has("bias") else y


def silu(x: ndarray) -> ndarray:
    return x / (1 + np.exp(-x))


def gelu(x: ndarray) -> ndarray:
    """x Φ(x), exactly, not by tanh."""
    return (0.5 * x * (1 + ERF(x / np.sqrt(2)))).astype(x.dtype)


def softmax(x: ndarray) -> ndarray:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def normalized(x: ndarray) -> ndarray:
    """Each row scaled to norm 1; a row of zeros stays one."""
    return x / np.maximum(np.sqrt((x * x).sum(axis=-1, keepdims=True)), 1e-12)


def group_norm(p: Params, x: ndarray) -> ndarray:
    """8 groups of neighbouring channels, each with its mean and biased variance over channels and places."""
    g = x.reshape(len(x), GROUPS, -1)
    g = (g - g.mean(-1, keepdims=True)) / np.sqrt(g.var(-1, keepdims=True) + EPS)
    wide = (-1, *[1] * (x.ndim - 2))
    return g.reshape(x.shape) * p.weight.reshape(wide) + p.bias.reshape(wide)


def layer_norm(p: Params, x: ndarray) -> ndarray:
    """Over the last axis, with the biased variance."""
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + EPS) * p.weight + p.bias


def conv(p: Params, x: ndarray, stride: int | tuple[int, int] = 1, padding: int | None = None) -> ndarray:
    """Cross-correlation with zeros around; padding is half the kernel, rounded down, unless it is given.

    y[b, o, i, j] = bias[o] + Σ_{c, u, v} weight[o, c, u, v] x[b, c, s i + u − p, s j + v − p]
    """
    if x.ndim == 3:  # one dimension is two, of which the first has length one
        flat = Params({"weight": p.weight[:, :, None], "bias": p.bias})
        pad = p.weight.shape[2] // 2
        return conv(flat, np.pad(x, ((0, 0), (0, 0), (pad, pad)))[:, :, None], (1, stride), 0)[:, :, 0]
    o, c, u, v = p.weight.shape
    pad, (sy, sx) = u // 2 if padding is None else padding, (stride, stride) if isinstance(stride, int) else stride
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    windows = np.lib.stride_tricks.sliding_window_view(x, (u, v), (2, 3))[:, :, ::sy, ::sx]  # b c i j u v
    b, _, i, j = windows.shape[:4]
    rows = windows.transpose(0, 2, 3, 1, 4, 5).reshape(b * i * j, c * u * v)
    y = rows @ p.weight.reshape(o, -1).T + p.bias
    return y.reshape(b, i, j, o).transpose(0, 3, 1, 2)


def average(x: ndarray, stride: int | tuple[int, int]) -> ndarray:
    """Means over blocks of `stride` places."""
    sy, sx = (stride, stride) if isinstance(stride, int) else stride
    b, c, h, w = x.shape
    return x.reshape(b, c, h // sy, sy, w // sx, sx).mean(axis=(3, 5))


def res_block(p: Params, x: ndarray, emb: ndarray | None = None, stride: int | tuple[int, int] = 1) -> ndarray:
    """skip(x) + conv2(σ(h)), h = norm2(conv1(σ(norm1(x)))), or (1 + scale) h + shift with an embedding (b, e)."""
    h = group_norm(p("norm2"), conv(p("conv1"), silu(group_norm(p("norm1"), x)), stride))
    if emb is not None:
        scale, shift = np.split(linear(p("modulation"), silu(emb)), 2, axis=-1)
        wide = (*scale.shape, *[1] * (x.ndim - 2))
        h = h * (1 + scale.reshape(wide)) + shift.reshape(wide)
    x = x if stride == 1 else average(x, stride)
    return (conv(p("skip"), x) if p.has("skip") else x) + conv(p("conv2"), silu(h))


def pixel_shuffle(x: ndarray) -> ndarray:
    """(b, c·2·2, h, w) → (b, c, 2h, 2w): channel 4c + 2y + x becomes place (y, x) of a square."""
    b, c, h, w = x.shape
    return x.reshape(b, c // 4, 2, 2, h, w).transpose(0, 1, 4, 2, 5, 3).reshape(b, c // 4, 2 * h, 2 * w)


def time_embedding(t: ndarray, width: int, dtype: type) -> ndarray:
    """[cos(t ω_i), sin(t ω_i)], ω_i = 10000^(−i / half), half = width / 2: (b, width)."""
    half = width // 2
    angle = t[:, None] * np.exp(-np.log(10_000) * np.arange(half) / half)
    return np.concatenate([np.cos(angle), np.sin(angle)], axis=-1).astype(dtype)


def two_layers(p: Params, x: ndarray) -> ndarray:
    """Linear, SiLU, linear: the parts 0 and 2 of a list of three."""
    return linear(p(2), silu(linear(p(0), x)))


def heads_of(channels: int) -> int:
    return max(1, channels // HEAD)


def split_heads(x: ndarray, heads: int) -> ndarray:
    """b n (h d) → b h n d."""
    return x.reshape(*x.shape[:2], heads, -1).transpose(0, 2, 1, 3)


def attend(q: ndarray, k: ndarray, v: ndarray, hidden: ndarray | None = None, scale: float | None = None) -> ndarray:
    """softmax(scale · q kᵀ) v of heads "b h n d", joined to "b n (h d)"; what is hidden has no weight."""
    scores = q @ k.swapaxes(-1, -2) * (q.shape[-1] ** -0.5 if scale is None else scale)
    if hidden is not None:
        scores = np.where(hidden, -np.inf, scores)
    b, h, n, _ = scores.shape
    return (softmax(scores) @ v).transpose(0, 2, 1, 3).reshape(b, n, -1)


def attention(p: Params, x: ndarray, context: ndarray | None = None) -> ndarray:
    """Of a U-Net: queries of x, keys and then values of the context, or of x."""
    heads = heads_of(x.shape[-1])
    k, v = np.split(linear(p("kv"), x if context is None else context), 2, axis=-1)
    q, k, v = (split_heads(part, heads) for part in (linear(p("q"), x), k, v))
    return linear(p("out"), attend(q, k, v))


def projected(p: Params, x: ndarray, context: ndarray, hidden: ndarray | None) -> ndarray:
    """Attention of a transformer: queries, keys and values are three parts of one matrix."""
    w, b = np.split(p.in_proj_weight, 3), np.split(p.in_proj_bias, 3)
    q, k, v = (split_heads(y @ w[i].T + b[i], HEADS) for i, y in enumerate((x, context, context)))
    return linear(p("out_proj"), attend(q, k, v, hidden))


def transformer(
    p: Params, x: ndarray, hidden: ndarray | None = None, memory: ndarray | None = None, final: bool = True
) -> ndarray:
    """Layers with the norm first: self-attention, attention to a memory if there is one, and a network of GELU.

    `hidden`: which keys a place does not see in self-attention. `final`: whether a norm follows the last layer.
    """
    for i in range(p.count("layers")):
        layer = p("layers")(i)
        y = layer_norm(layer("norm1"), x)
        x = x + projected(layer("self_attn"), y, y, hidden)
        if memory is not None:
            x = x + projected(layer("multihead_attn"), layer_norm(layer("norm2"), x), memory, None)
        y = layer_norm(layer("norm2" if memory is None else "norm3"), x)
        x = x + linear(layer("linear2"), gelu(linear(layer("linear1"), y)))
    return layer_norm(p("norm"), x) if final else x
