"""Computes the kit's cases of texts and images; then `check.py` compares them."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import jax

from ..numpy_port import kit
from .codi import CoDi
from .environment import attention_to_others, tokens
from .layers import res_block, transformer
from .unet import block, denoise

WEIGHTS = Path(__file__).parents[2] / "codi_minimal" / "weights" / "small"
NETWORKS = (tokens, res_block, transformer, block, attention_to_others, denoise)


def run(out: str | Path, only: Collection[str] = ()) -> None:
    """All cases that are about texts and images alone, or those of some operations."""
    model = CoDi(WEIGHTS)

    def of(network: Callable) -> Callable[..., jax.Array]:
        return lambda p, name, **given: jax.jit(network)(p, **given)

    ops: dict[str, Callable[..., Any]] = {network.__name__: of(network) for network in NETWORKS} | {
        "prompt": lambda p, name, x: model.prompt(name, x),
        "encode": lambda p, name, x: model.encode(name, x),
        "decode": lambda p, name, z: model.decode(name, z),
        "steps": lambda p, name, **given: kit.trajectory(model, 10**6, **given),
    }
    kit.hand_in(model.p, ops, Path(out), only, ("text", "image"))
