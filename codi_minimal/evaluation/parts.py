"""Prompts that each give a part: do the outputs follow all of them? CoDi sect. 3.2, composable conditioning."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from codi_minimal.data import Scene, caption
from codi_minimal.evaluation.coherence import letters
from codi_minimal.evaluation.readers import READERS, read
from codi_minimal.evaluation.statistics import Estimate, share


@dataclass(frozen=True)
class Composition:
    """Prompts of one scene, each with the attributes that it alone gives, and the output that is made from all of them.

    A text mentions these attributes and no others; all other prompts may give the digit besides.
    """

    prompts: tuple[tuple[str, tuple[str, ...]], ...]
    output: str

    @property
    def asked(self) -> tuple[str, ...]:
        """All attributes that the prompts must determine, each by one of them."""
        return tuple(attribute for _, said in self.prompts for attribute in said)

    @property
    def title(self) -> str:
        prompts = " + ".join(f"{name}: {', '.join(said)}" for name, said in self.prompts)
        return f"{prompts} → {letters((self.output,))}"


COMPOSITIONS = (
    Composition((("audio", ("digit",)), ("text", ("colour",))), "image"),
    Composition((("audio", ("digit",)), ("text", ("colour", "motion"))), "video"),
    Composition((("image", ("digit", "colour")), ("text", ("motion",))), "video"),
    Composition((("audio", ("onset",)), ("image", ("colour",))), "video"),
    Composition((("text", ("digit",)), ("text", ("colour",))), "image"),
)


def prompts_for(composition: Composition, scene: Scene, renders: Mapping[str, Any], seed: int) -> dict[str, list]:
    """The prompts of a composition for n scenes, as `generate` takes them; `renders` are of those scenes."""
    rng, prompts = random.Random(seed), {}
    for name, said in composition.prompts:
        data = renders.get(name)
        if READERS[name].formed:  # it can leave attributes out
            data = [caption({a: words[a] for a in said}, rng) for words in scene.words()]
        prompts.setdefault(name, []).append(data)
    return prompts


def follows(composition: Composition, scene: Scene, made: Any, items: Sequence[Tensor] = ()) -> dict[str, Estimate]:
    """How often each attribute asked for is right in n samples of the output, and how often "all" are."""
    shown = read(composition.output, made)
    right = {name: shown[name] == getattr(scene, name) for name in composition.asked}
    right = {"all": torch.stack(list(right.values())).all(0), **right}
    return {name: share(x, items=items) for name, x in right.items()}
