"""`CoDi.generate` with arguments drawn at random, right ones and wrong ones together."""

import math
from dataclasses import dataclass, replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from codi_minimal.recipe import ADDITIONS, Recipe
from codi_minimal.recipes import RECIPES
from tests.fuzz.outcome import fuzzing, outcome
from tests.models import AUDIO, IMAGE, NAMES, VIDEO, random_codi

pytestmark = pytest.mark.slow

ODD = st.sampled_from([None, True, -1, 0, 2**63, 10**400, 0.5, math.nan, math.inf, "", "7", [], {}, (), object(), b"x"])
EDGES = [math.nan, math.inf, -math.inf, 1e38, -1e-45, 0.0, 1.0, 0.5]


@st.composite
def tensors(draw: st.DrawFn, shape: tuple[int, ...]) -> Tensor:
    """Tensors that nearly fit: shapes, types, devices and values are right or a little wrong."""
    shape = list(draw(st.sampled_from([shape, (1, *shape), (2, *shape)])))
    if draw(st.integers(0, 5)) == 0:
        shape[draw(st.integers(0, len(shape) - 1))] = draw(st.integers(0, 3))
    dtype = draw(st.sampled_from([torch.float32] * 5 + [torch.float64, torch.bfloat16, torch.int64, torch.bool]))
    device = draw(st.sampled_from(["cpu"] * 8 + ["meta"]))
    x = torch.full(shape, 0.3, dtype=torch.float32)
    if x.numel() and draw(st.integers(0, 2)) == 0:
        x.flatten()[0] = draw(st.sampled_from(EDGES))
    return x.to(dtype).to(device)


def mostly(right: st.SearchStrategy, odd: st.SearchStrategy = ODD) -> st.SearchStrategy:
    """Nine of ten are right in kind, so that the tenth meets code that runs."""
    return st.integers(0, 9).flatmap(lambda i: right if i else odd)


names = st.sampled_from([*NAMES, "smell", ""])
words = st.sampled_from(["seven", "a red two", "sliding left", "xyzzy", "", " ", "one " * 13, "\udcff", "7", "sEvEn!"])
captions = mostly(st.one_of(words, st.lists(words, max_size=3), st.lists(st.lists(words, max_size=2), max_size=2)))
PROMPTS = {
    "text": captions,
    "image": mostly(st.one_of(tensors(IMAGE.shape), st.lists(tensors(IMAGE.shape), max_size=2))),
    "audio": mostly(tensors(AUDIO.shape)),
    "video": mostly(tensors(VIDEO.shape)),
}
NOISE = {name: mostly(tensors(random_codi().modalities[name].latent_shape)) for name in NAMES}


def number(*good: float) -> st.SearchStrategy:
    return mostly(st.sampled_from(good), st.one_of(ODD, st.dictionaries(names, st.sampled_from(good), max_size=3)))


@dataclass
class Changed:
    """A recipe of which something is left out, or has another value."""

    recipe: Recipe
    without: list[str]
    values: dict


CHANGES = {
    "sampler": mostly(st.sampled_from(["ddim", "ddpm", "dpm-solver++"])),
    "steps": number(1, 2),
    "guidance": number(0, 1, 2.5),
    "wiring": mostly(
        st.one_of(st.sampled_from(["others", "own", "pooled", "off"]), st.dictionaries(names, st.lists(names)))
    ),
    "autocast": mostly(st.sampled_from([None, "bf16", "fp8"])),
    "additions": mostly(st.just(())),
}
some_additions = st.lists(st.sampled_from(list(ADDITIONS)), max_size=3)
changed = st.builds(
    Changed, st.sampled_from(list(RECIPES.values())), some_additions, st.fixed_dictionaries({}, optional=CHANGES)
)
ARGUMENTS = {
    "prompts": mostly(st.fixed_dictionaries({}, optional=PROMPTS)),
    "weights": mostly(st.dictionaries(names, mostly(st.floats(0, 2)), max_size=3)),
    "guidance": number(0, 1, 2.5, 1e30),
    "sampler": mostly(st.sampled_from(["ddim", "ddpm", "dpm-solver++"])),
    "joint": mostly(st.booleans()),
    "recipe": mostly(st.one_of(st.sampled_from([*RECIPES, "papr"]), changed)),
    "num_samples": mostly(st.sampled_from([1, 2, 10**9])),
    "seed": mostly(st.one_of(st.integers(0, 2**63), st.lists(st.integers(0, 99), max_size=2))),
    "noise": mostly(st.fixed_dictionaries({}, optional=NOISE)),
    "given": mostly(st.fixed_dictionaries({}, optional=PROMPTS)),
}


@fuzzing(150)
@given(
    outputs=mostly(st.lists(st.sampled_from(NAMES), min_size=1, unique=True), st.one_of(st.lists(names), ODD)),
    steps=number(1, 2),
    some=st.lists(st.sampled_from(list(ARGUMENTS)), max_size=3, unique=True),
    data=st.data(),
)
def test_generate(outputs, steps, some, data):
    arguments = {name: data.draw(ARGUMENTS[name], label=name) for name in some}

    def check(made: dict) -> None:
        assert list(made) == ([outputs] if isinstance(outputs, str) else list(outputs))
        for name, batch in made.items():
            if name == "text":
                assert all(isinstance(caption, str) for caption in batch)
            else:
                assert batch.isfinite().all()
        assert len({len(batch) for batch in made.values()}) == 1

    def call() -> dict:
        how = arguments.get("recipe")
        if isinstance(how, Changed):
            arguments["recipe"] = replace(how.recipe.without(*how.without), **how.values)
        return random_codi().generate(**{"outputs": outputs, "steps": steps, **arguments})

    outcome("API", call, check)
