"""Renders, the shipped judges, and pretend models whose figures are known beforehand."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from codi_minimal.data import RENDERERS, caption, draw, load
from codi_minimal.data.world import World
from codi_minimal.evaluation.coherence import ATTRIBUTES
from codi_minimal.evaluation.readers import VALUES, read, shipped_judges
from codi_minimal.recipes import PAPER


def scenes_like(source, said, generator):
    """Scenes with the attributes given (attribute → (n,), -1: any)."""
    free = draw(
        source,
        len(said["digit"]),
        generator,
        torch.arange(len(source.digits)),
        torch.arange(len(source.spoken)),
    )
    chosen = {name: torch.where(said[name] >= 0, said[name], getattr(free, name)) for name in ATTRIBUTES}

    def any_of(labels):
        places = [(labels == digit).nonzero()[:, 0] for digit in range(10)]
        return torch.tensor(
            [places[d][int(torch.randint(len(places[d]), (), generator=generator))] for d in chosen["digit"]]
        )

    return replace(free, **chosen, glyph=any_of(source.digits), recording=any_of(source.spoken))


def render(source, name, scene, generator):
    if name in RENDERERS:
        return RENDERERS[name](source, scene, generator)
    import random

    return [caption(words, random.Random(0)) for words in scene.words()]


def _several(data):
    """A list of batches, as `generate` takes several prompts of one modality; a batch is a list of one."""
    return data if isinstance(data, list) and not isinstance(data[0], str) else [data]


class Oracle(torch.nn.Module):
    """Reads its prompts and renders what they say; what they leave open is drawn, and shared if `joint`."""

    device, recipe = "cpu", PAPER

    def __init__(self, source):
        super().__init__()
        self.source = source
        identity = SimpleNamespace(encode=lambda x: x, decode=lambda z: z)
        self.modalities = {name: SimpleNamespace(autoencoder=identity) for name in ("text", "image", "audio", "video")}

    def known(self, prompts, n):
        said = {name: torch.full((n,), -1) for name in ATTRIBUTES}
        for prompt, data in prompts.items():
            for one in _several(data):
                said |= {k: torch.where(v >= 0, v, said[k]) for k, v in read(prompt, one).items()}
        return said

    def encode_prompt(self, name, data):
        """The digit shown, as a unit vector; refuses what CoDi refuses."""
        if any(not x.strip() if isinstance(x, str) else not x.isfinite().all() for x in data):
            raise ValueError(f"expected finite values and some words, got {data}")
        digit = read(name, data)["digit"]
        return torch.nn.functional.one_hot(digit + 1, 11)[:, 1:].float()

    def generate(self, prompts, outputs, num_samples=1, joint=True, seed=0):
        n = len(_several(next(iter(prompts.values())))[0]) if prompts else num_samples
        said, generator = self.known(prompts, n), torch.Generator().manual_seed(seed)
        shared = scenes_like(self.source, said, generator)
        scenes = {name: shared if joint else scenes_like(self.source, said, generator) for name in outputs}
        return {name: render(self.source, name, scenes[name], generator) for name in outputs}


class Deaf(Oracle):
    """Does not listen to its prompts."""

    def known(self, prompts, n):
        return {name: torch.full((n,), -1) for name in VALUES}


class Broken(Oracle):
    """Makes NaN, and captions without grammar."""

    def generate(self, prompts, outputs, num_samples=1, joint=True, seed=0):
        made = super().generate(prompts, outputs, num_samples, joint, seed)
        nonsense = ["red that a", ""] * len(next(iter(made.values())))
        return {k: nonsense[: len(v)] if isinstance(v, list) else v * float("nan") for k, v in made.items()}


@pytest.fixture(scope="session")
def source(request):
    """The public test split, else the built-in sample, which the judges were not trained for: see `data_dir`."""
    try:
        folder = request.getfixturevalue("data_dir")
    except pytest.skip.Exception:
        folder = None
    return load(folder, "test", hub=False)


@pytest.fixture(scope="session")
def judges():
    return shipped_judges()


@pytest.fixture(scope="session")
def sample(source):
    """300 scenes, with all renders."""
    return World(source).sample(300, torch.Generator().manual_seed(7))


@pytest.fixture(scope="session")
def models(source):
    return SimpleNamespace(oracle=Oracle(source), deaf=Deaf(source), broken=Broken(source))
