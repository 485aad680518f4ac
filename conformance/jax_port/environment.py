"""V_m, and the attention of a denoiser to the tokens of other streams."""

import jax.numpy as jnp
from jax import Array

from ..numpy_port.checkpoint import Params
from ..numpy_port.environment import CLOCK, patches
from .layers import attend, conv, heads_of, layer_norm, linear, normalized, res_block, time_mlp, transformer


def tokens(p: Params, z: Array, t: Array) -> Array:
    """V_m(z_t, t): (b, 4, 128), of which the last 16 features are the clock, 0 for texts and images."""
    b, (summary, width) = len(z), p.queries.shape
    emb = time_mlp(p("time_mlp"), t)
    h = res_block(p("res"), conv(p("conv_in"), z), emb)
    h = (linear(p("to_token"), patches("text" if z.ndim == 3 else "image", h)) + p.position).reshape(b, -1, width)
    h = jnp.concatenate([jnp.broadcast_to(p.queries, (b, summary, width)), h], axis=1) + emb[:, None]
    found = linear(p("out")(1), layer_norm(p("out")(0), transformer(p("transformer"), h)[:, :summary]))
    found = normalized(found) * (found.shape[-1] + CLOCK) ** 0.5
    return jnp.pad(found, ((0, 0), (0, 0), (0, CLOCK)))


def attention_to_others(p: Params, x: Array, env: Array) -> Array:
    """The residual of places (b, n, c), which have no times, that attend to tokens (b, m, 128)."""
    q = linear(p("q"), layer_norm(p("norm"), x) + p.position)
    env = jnp.pad(env, ((0, 0), (1, 0), (0, 0)))  # the silent token: its clock and value are 0, its key is learned
    k, v = jnp.split(linear(p("kv"), env), 2, axis=-1)
    hidden = (env[..., -CLOCK:] != 0).any(-1)  # what has no time hears no clock
    bias = jnp.where(hidden, -jnp.inf, 0.0)[:, None, None]
    return linear(p("out"), attend(q, k.at[:, 0].set(p.nothing.ravel()), v, heads_of(x.shape[-1]), bias))
