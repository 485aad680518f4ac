"""The NumPy port's checkpoint, recipe and loop, around networks in JAX."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from ..numpy_port import codi, tokenizer
from ..numpy_port.checkpoint import Params
from . import autoencoders, environment, prompts
from .joint import Joint


class CoDi(codi.CoDi):
    """A checkpoint, with the recipe that its config holds; `generate` is that of the NumPy port."""

    loop = Joint

    def __init__(self, folder: str | Path) -> None:
        super().__init__(folder)
        self.p = Params({name: jnp.asarray(x) for name, x in self.p.tensors.items()})

    def prompt(self, name: str, data: Any) -> Array:
        """C_m: (b, d)."""
        network = jax.jit(getattr(prompts, f"encode_{name}"))
        return network(self.part(name, "prompt"), self.prepared(name, data))

    def encode(self, name: str, data: Any) -> Array:
        """E_m: z_0."""
        network = jax.jit(getattr(autoencoders, f"encode_{name}"))
        return network(self.part(name, "autoencoder"), self.prepared(name, data))

    def decode(self, name: str, z: Array) -> Any:
        """D_m: pictures in [0, 1], captions."""
        made = jax.jit(getattr(autoencoders, f"decode_{name}"))(self.part(name, "autoencoder"), z)
        return [tokenizer.decode(ids, self.vocabulary) for ids in made.tolist()] if name == "text" else made

    def tokens(self, name: str, z: Array, t: int) -> Array:
        """V_m(z_t, t)."""
        return jax.jit(environment.tokens)(self.part(name, "environment"), z, jnp.full(len(z), t))
