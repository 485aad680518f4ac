"""The denoisers ε_m, which predict v."""

import jax.numpy as jnp
from jax import Array
from jax.nn import silu

from ..numpy_port.checkpoint import Params
from .environment import attention_to_others
from .layers import attention, conv, gelu, group_norm, layer_norm, linear, res_block, time_mlp, two_layers


def block(p: Params, x: Array, emb: Array, context: Array, env: Array | None = None) -> Array:
    """A residual block, and attention: of a map "b c …" to itself, to the condition, and to the other streams.

    emb (b, e), condition tokens (b, 4, e), and tokens of other streams (b, m, 128).
    """
    x = res_block(p("res"), x, emb)
    t, h = p("transformer"), x.reshape(*x.shape[:2], -1).swapaxes(1, 2)  # b n c
    h = h + attention(t("self_attention"), layer_norm(t("norm1"), h))
    h = h + attention(t("cross_attention"), layer_norm(t("norm2"), h), context)
    if env is not None and t.has("environment_attention"):
        h = h + attention_to_others(t("environment_attention"), h, env)
    h = h + linear(t("mlp")(2), gelu(linear(t("mlp")(0), layer_norm(t("norm3"), h))))
    return h.swapaxes(1, 2).reshape(x.shape)


def denoise(p: Params, z: Array, t: Array, cond: Array, env: Array | None = None) -> Array:
    """ε_m(z_t, t, C, V), of the shape of z; C (b, d) is zero for no prompt, and env None for no other stream."""
    if env is not None:
        cond = cond + attention_to_others(p("environment_attention"), cond[:, None], env)[:, 0]
    c = cond * cond.shape[-1] ** 0.5
    emb = time_mlp(p("time_mlp"), t) + two_layers(p("cond_mlp"), c)
    seen = (emb, linear(p("cond_tokens"), c).reshape(len(z), -1, emb.shape[-1]), env)
    h = conv(p("conv_in"), z) + p.position
    skips = [h]
    for i in range(p.count("down")):
        part = p("down")(i)  # with the tensor `weight` it is a convolution, which halves or follows a doubling
        h = conv(part, h, stride=2) if part.has("weight") else block(part, h, *seen)
        skips.append(h)
    h = block(p("middle"), h, *seen)
    for i in range(p.count("up")):
        part = p("up")(i)
        if part.has("weight"):
            for axis in range(2, h.ndim):
                h = jnp.repeat(h, 2, axis=axis)
            h = conv(part, h)
        else:
            h = block(part, jnp.concatenate([h, skips.pop()], axis=1), *seen)
    return conv(p("out")(2), silu(group_norm(p("out")(0), h)))
