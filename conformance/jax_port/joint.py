"""The joint loop's step as one jitted function: each stream sees the tokens of all others."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ..numpy_port import joint
from ..numpy_port.checkpoint import Params
from .environment import tokens
from .unet import denoise

Streams = dict[str, Array]


def guided(p: Params, z: Array, t: Array, cond: Array, env: Array | None, g: Array) -> Array:
    """v_0 + g (v_1 − v_0) from one batch of both: without prompt and other streams, and with them."""
    z, t, cond = (jnp.concatenate([x, x]) for x in (z, t, cond))
    share = jnp.repeat(jnp.array([0.0, 1.0]), len(z) // 2)[:, None]
    # tokens of zeros have values of zeros: it is as if there were none
    env = None if env is None else share[..., None] * jnp.concatenate([env, env])
    without, seeing = jnp.split(denoise(p, z, t, share * cond, env), 2)
    return without + g * (seeing - without)


@partial(jax.jit, static_argnums=0)
def joint_step(
    outputs: tuple[str, ...], p: Params, z: Streams, eps: Streams, before: Streams, cond: Array, held: Streams,
    at: Mapping[str, Mapping[str, Any]],
) -> tuple[Streams, Streams]:  # fmt: skip
    """All z at the next time, and all ẑ_0, of which those of the step before are given.

    Args:
        cond: C (b, d). held: tokens of given streams. at: of each output t, guidance g, and `sums` (2, 4), by which
            z and ẑ_0 are sums of z, v, ε and the ẑ_0 before.
    """
    made, t = {}, {name: jnp.full(len(z[name]), at[name]["t"]) for name in outputs}
    said = {name: tokens(p(name)("environment"), z[name], t[name]) for name in outputs} | held
    for name in outputs:
        others = [said[other] for other in sorted(said) if other != name]
        env = jnp.concatenate(others, axis=1) if others else None
        v = guided(p(name)("denoiser"), z[name], t[name], cond, env, at[name]["g"])
        made[name] = jnp.tensordot(at[name]["sums"], jnp.stack([z[name], v, eps[name], before[name]]), 1)
    return {name: both[0] for name, both in made.items()}, {name: both[1] for name, both in made.items()}


class Joint(joint.Joint):
    """The NumPy port's loop around the jitted step."""

    def step(self, i: int, z: Streams, eps: Streams, before: Streams) -> tuple[Streams, Streams]:
        """All z at the next time, and all ẑ_0; `before`: those of the step before."""
        at = {}
        for name, sampler in self.samplers.items():
            low = sampler.times[i] < self.model.recipe["guidance_start"] * self.model.T
            # a step is linear in z, v, ε and the ẑ_0 before; each of the four is 1 while the others are 0
            sums = np.array([sampler.step(i, *one) for one in np.eye(4)], np.float32).T
            at[name] = {"t": sampler.times[i], "g": self.setting("guidance", name) if low else 1.0, "sums": sums}
        none = {name: np.zeros_like(x) for name, x in z.items()}
        cond = np.zeros((len(z[self.outputs[0]]), self.model.d), np.float32) if self.cond is None else self.cond
        p = self.model.p("modalities")
        return joint_step(self.outputs, p, z, none | dict(eps), none | dict(before), cond, self.held, at)
