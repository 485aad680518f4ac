"""The prompt encoders C_m: unit vectors (b, d) in one space."""

import jax.numpy as jnp
from jax import Array
from jax.nn import silu

from ..numpy_port.checkpoint import Params
from ..numpy_port.tokenizer import EOS, PAD
from .layers import conv, group_norm, linear, normalized, res_block, transformer


def encode_text(p: Params, ids: Array) -> Array:
    """Ids (b, l) → the mean over the words, without BOS, EOS and PAD."""
    hidden = jnp.where(ids == PAD, -jnp.inf, 0.0)[:, None, None]
    h = transformer(p("transformer"), p("token").weight[ids] + p.position, hidden)
    word = (ids > EOS)[..., None]
    return normalized(linear(p("project"), (h * word).sum(1) / word.sum(1)))


def encode_image(p: Params, x: Array) -> Array:
    """Pictures (b, 3, 32, 32) in [0, 1]."""
    t = p("trunk")
    h = res_block(t(2), res_block(t(1), conv(t(0), x, stride=2)), stride=2)
    h = conv(t(6), silu(group_norm(t(4), res_block(t(3), h, stride=2))))
    return normalized(linear(p("project")(1), silu(linear(t(8), h.reshape(len(h), -1)))))
