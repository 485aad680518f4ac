"""The layers that all networks share. Maps are "b c l" (text) or "b c h w"; p holds a layer's tensors."""

import jax
import jax.numpy as jnp
from jax import Array
from jax.nn import silu

from ..numpy_port.checkpoint import Params
from ..numpy_port.layers import EPS, GROUPS, HEADS, average, heads_of, split_heads

# GPUs and TPUs would else round the factors of products to fewer digits
jax.config.update("jax_default_matmul_precision", "highest")
# a view of parameters is an argument of compiled functions; its prefix is part of the function
jax.tree_util.register_pytree_node(Params, lambda p: ([p.tensors], p.prefix), lambda prefix, x: Params(x[0], prefix))


def linear(p: Params, x: Array) -> Array:
    """(…, in) → (…, out)."""
    y = x @ p.weight.T
    return y + p.bias if p.has("bias") else y


def gelu(x: Array) -> Array:
    """x Φ(x), exactly, not by tanh."""
    return jax.nn.gelu(x, approximate=False)


def normalized(x: Array) -> Array:
    """Each row scaled to norm 1; a row of zeros stays one."""
    return x / jnp.maximum(jnp.linalg.norm(x, axis=-1, keepdims=True), 1e-12)


def standardized(x: Array) -> Array:
    """Each row with mean 0 and biased variance 1."""
    return (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + EPS)


def layer_norm(p: Params, x: Array) -> Array:
    """Over the last axis."""
    return standardized(x) * p.weight + p.bias


def group_norm(p: Params, x: Array) -> Array:
    """8 groups of neighbouring channels, each over its channels and places."""
    wide = (-1, *[1] * (x.ndim - 2))
    x = standardized(x.reshape(len(x), GROUPS, -1)).reshape(x.shape)
    return x * p.weight.reshape(wide) + p.bias.reshape(wide)


def conv(p: Params, x: Array, stride: int = 1) -> Array:
    """Cross-correlation with zeros around, over one or two axes of places."""
    n, pad = x.ndim - 2, (p.weight.shape[2] - 1) // 2  # half the kernel, and 1 for 4 × 4
    y = jax.lax.conv_general_dilated(x, p.weight, [stride] * n, [(pad, pad)] * n)
    return y + p.bias.reshape(-1, *[1] * n)


def res_block(p: Params, x: Array, emb: Array | None = None, stride: int = 1) -> Array:
    """skip(x) + conv2(σ(h)), h = norm2(conv1(σ(norm1(x)))), or (1 + scale) h + shift with an embedding (b, e)."""
    h = group_norm(p("norm2"), conv(p("conv1"), silu(group_norm(p("norm1"), x)), stride))
    if emb is not None:
        both = linear(p("modulation"), silu(emb))
        scale, shift = jnp.split(both.reshape(*both.shape, *[1] * (x.ndim - 2)), 2, axis=1)
        h = h * (1 + scale) + shift
    x = x if stride == 1 else average(x, stride)
    return (conv(p("skip"), x) if p.has("skip") else x) + conv(p("conv2"), silu(h))


def two_layers(p: Params, x: Array) -> Array:
    """Linear, SiLU, linear: the parts 0 and 2 of a list of three."""
    return linear(p(2), silu(linear(p(0), x)))


def time_mlp(p: Params, t: Array) -> Array:
    """Two layers on [cos(t ω_i), sin(t ω_i)], ω_i = 10000^(−i / half): (b,) → (b, e)."""
    half = p(0).weight.shape[1] // 2
    angle = t[:, None] * jnp.exp(-jnp.log(10_000.0) * jnp.arange(half) / half)
    return two_layers(p, jnp.concatenate([jnp.cos(angle), jnp.sin(angle)], axis=-1))


def attend(q: Array, k: Array, v: Array, heads: int, bias: Array | float = 0.0) -> Array:
    """softmax(q kᵀ / √d + bias) v of "b n (h d)", for each head by itself; a key with the bias −∞ is hidden."""
    q, k, v = (split_heads(x, heads) for x in (q, k, v))  # b h n d
    weights = jax.nn.softmax(q @ k.swapaxes(-1, -2) * q.shape[-1] ** -0.5 + bias, axis=-1)
    return (weights @ v).swapaxes(1, 2).reshape(len(q), q.shape[2], -1)


def attention(p: Params, x: Array, context: Array | None = None) -> Array:
    """Of a U-Net: queries of x, keys and then values of the context, or of x."""
    k, v = jnp.split(linear(p("kv"), x if context is None else context), 2, axis=-1)
    return linear(p("out"), attend(linear(p("q"), x), k, v, heads_of(x.shape[-1])))


def projected(p: Params, x: Array, context: Array, bias: Array | float = 0.0) -> Array:
    """Attention of a transformer: queries, keys and values are three parts of one matrix."""
    w, b = jnp.split(p.in_proj_weight, 3), jnp.split(p.in_proj_bias, 3)
    q, k, v = (y @ w[i].T + b[i] for i, y in enumerate((x, context, context)))
    return linear(p("out_proj"), attend(q, k, v, HEADS, bias))


def transformer(p: Params, x: Array, bias: Array | float = 0.0, memory: Array | None = None) -> Array:
    """Layers with the norm first: self-attention, attention to a memory if there is one, and a network of GELU."""
    for i in range(p.count("layers")):
        layer = p("layers")(i)
        y = layer_norm(layer("norm1"), x)
        x = x + projected(layer("self_attn"), y, y, bias)
        if memory is not None:
            x = x + projected(layer("multihead_attn"), layer_norm(layer("norm2"), x), memory)
        y = layer_norm(layer("norm2" if memory is None else "norm3"), x)
        x = x + linear(layer("linear2"), gelu(linear(layer("linear1"), y)))
    return layer_norm(p("norm"), x) if p.has("norm") else x
