"""Prompts that each give a part: do the outputs follow all of them? CoDi sect. 3.2, composable conditioning."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from codi_minimal.data import Scene, caption
from codi_minimal.evaluation.classifiers import Judges
from codi_minimal.evaluation.coherence import letters
from codi_minimal.evaluation.readers import read
from codi_minimal.evaluation.statistics import Estimate, share


@dataclass(frozen=True)
class Composition:
    """Prompts of one scene, the attributes that each must determine, and the output that is made from all of them.

    texts: for each text the attributes that it mentions, and no others.
    others: for each other prompt the attributes that it alone gives; both may give the digit besides.
    """

    texts: tuple[tuple[str, ...], ...]
    others: Mapping[str, tuple[str, ...]]
    output: str

    @property
    def asked(self) -> tuple[str, ...]:
        """All attributes that the prompts must determine, each by one of them."""
        return tuple(a for said in (*self.others.values(), *self.texts) for a in said)

    @property
    def title(self) -> str:
        parts = [f"{name}: {', '.join(said)}" for name, said in self.others.items()]
        parts += [f"text: {', '.join(said)}" for said in self.texts]
        return f"{' + '.join(parts)} → {letters((self.output,))}"


COMPOSITIONS = (
    Composition((("colour",),), {"audio": ("digit",)}, "image"),
    Composition((("colour", "motion"),), {"audio": ("digit",)}, "video"),
    Composition((("motion",),), {"image": ("digit", "colour")}, "video"),
    Composition((), {"audio": ("onset",), "image": ("colour",)}, "video"),
    Composition((("digit",), ("colour",)), {}, "image"),
)


def prompts_for(composition: Composition, scene: Scene, renders: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """The prompts of a composition for n scenes, as `generate` takes them; `renders` are of those scenes."""
    rng, prompts = random.Random(seed), {name: renders[name] for name in composition.others}
    if composition.texts:
        prompts["text"] = [
            [caption({a: words[a] for a in said}, rng) for words in scene.words()] for said in composition.texts
        ]
    return prompts


def follows(
    composition: Composition, scene: Scene, made: Any, judges: Judges | None = None, items: Sequence[Tensor] = ()
) -> dict[str, Estimate]:
    """How often each attribute asked for is right in n samples of the output, and how often "all" are."""
    shown = read(composition.output, made, judges)
    right = {name: shown[name] == getattr(scene, name) for name in composition.asked}
    right = {"all": torch.stack(list(right.values())).all(0), **right}
    return {name: share(x, items=items) for name, x in right.items()}
