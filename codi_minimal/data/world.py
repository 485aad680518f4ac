"""Scenes in all four modalities, for the evaluation only: a training step sees a pair at most (see ``pairs``)."""

import random
from collections.abc import Mapping
from typing import Any

import torch

from .captions import KEPT, describe
from .scenes import ATTRIBUTES_OF, RENDERERS, Scene, draw
from .sources import Source


class World:
    """Scenes with all four modalities rendered, from all of a source."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def sample(
        self, n: int, generator: torch.Generator, kept: Mapping[str, float] = KEPT, like: Scene | None = None
    ) -> tuple[Scene, dict[str, Any]]:
        """n scenes, and their text, image, audio and video: n captions, and tensors of the shapes in `scenes`.

        Each text states a random non-empty subset of digit, colour and motion; `kept` has the probability of each.
        ``captions.parse`` returns the subset, and ``Scene.words`` all three. `like`: n scenes with the same attributes.
        """
        source = self.source
        pools = torch.arange(len(source.digits)), torch.arange(len(source.spoken))
        scene = draw(source, n, generator, *pools, like)
        rng = random.Random(int(torch.randint(2**31, (), generator=generator)))
        texts = describe(scene, ATTRIBUTES_OF["text"], rng, kept=kept)
        return scene, {"text": texts} | {name: render(source, scene, generator) for name, render in RENDERERS.items()}
