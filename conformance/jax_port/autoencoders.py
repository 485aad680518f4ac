"""E_m and D_m: data ↔ latents of unit scale."""

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.nn import silu

from ..numpy_port.checkpoint import Params
from ..numpy_port.layers import pixel_shuffle
from ..numpy_port.tokenizer import BOS, PAD, UNK
from .layers import conv, group_norm, linear, res_block, transformer


def encode_image(p: Params, x: Array) -> Array:
    """Pictures (b, 3, 32, 32) in [0, 1] → (b, 4, 8, 8): the first half of the channels is the mean."""
    e, x = p("encoder"), 2 * x - 1
    for n in (0, 2):
        x = res_block(e(n + 1), conv(e(n), x, stride=2))
    return jnp.split(conv(e(6), silu(group_norm(e(4), x))), 2, axis=1)[0] * p.scale_factor


def decode_image(p: Params, z: Array) -> Array:
    """(b, 4, 8, 8) → pictures (b, 3, 32, 32) in [0, 1]: channels of a convolution become places, twice."""
    d = p("decoder")
    x = res_block(d(2), res_block(d(1), conv(d(0), z / p.scale_factor)))
    x = res_block(d(5), pixel_shuffle(conv(d(3), x)))
    return jnp.clip(0.5 * pixel_shuffle(conv(d(8), silu(group_norm(d(6), x)))) + 0.5, 0, 1)


def encode_text(p: Params, ids: Array) -> Array:
    """Ids (b, l) → means "b c l": learned queries before the words, of which padding is hidden."""
    queries = p("queries").weight
    h = p("embedding").weight[ids] + p("encoder_positions").weight
    h = jnp.concatenate([jnp.broadcast_to(queries, (len(h), *queries.shape)), h], axis=1)
    hidden = jnp.where(jnp.pad(ids == PAD, ((0, 0), (len(queries), 0))), -jnp.inf, 0.0)
    h = transformer(p("encoder"), h, hidden[:, None, None])[:, : len(queries)]
    return jnp.split(linear(p("to_moments"), h), 2, axis=-1)[0].swapaxes(1, 2) * p.scale_factor


def decode_text(p: Params, z: Array) -> Array:
    """Latents "b c l" → ids (b, 12): the likeliest word at every step, never PAD, BOS or UNK. EOS ends a caption."""
    memory = linear(p("from_latent"), (z / p.scale_factor).swapaxes(1, 2)) + p("latent_positions").weight
    table, positions = p("embedding").weight, p("decoder_positions").weight[:-1]
    future = jnp.where(np.tri(len(positions)), 0.0, -jnp.inf)

    def write(n: int, ids: Array) -> Array:
        h = transformer(p("decoder"), table[ids] + positions, future, memory)[:, n]
        scores = (h @ table.T).at[:, np.array([PAD, BOS, UNK])].set(-jnp.inf)
        return ids.at[:, n + 1].set(scores.argmax(-1))

    # every step computes all places, so that shapes stay the same; no place sees a later one
    return lax.fori_loop(0, len(positions) - 1, write, jnp.full((len(z), len(positions)), BOS))[:, 1:]
