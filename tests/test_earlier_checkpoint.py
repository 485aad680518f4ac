"""A checkpoint of an earlier version loads, and generates what that version did; see golden/make_checkpoint.py."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from codi_minimal import CoDi
from codi_minimal.recipes import SHIPPED
from tests.golden.make_checkpoint import CASES, COMPUTED, rounded, write
from tests.streams import staggered

EARLIER = json.loads((Path(__file__).parent / "golden" / "checkpoint.json").read_text(encoding="utf-8"))


RECIPES = {  # what is an argument of the earlier `generate` and no argument any more
    "at once": staggered(SHIPPED.without("silent_text"), 0.0),
    "no arrivals": SHIPPED.without("arrivals"),
    "no prompt streams": SHIPPED.without("prompt_clocks"),
    "drop": staggered(SHIPPED, 0.5),
    "pooled": staggered(replace(SHIPPED, wiring="pooled"), 0.5),
}
GONE = {"stagger", "bridge", "arrivals", "prompt_streams", "env_guidance", "wiring"}


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> CoDi:
    folder, shapes = tmp_path_factory.mktemp("earlier"), EARLIER["tensors"]
    constants = {name: torch.zeros(shape) for name, shape in shapes.items() if name.endswith(COMPUTED)}
    write(folder, EARLIER["config"], shapes, constants)
    return CoDi.from_pretrained(folder, device="cpu")


@pytest.mark.parametrize("case", CASES)
def test_an_earlier_checkpoint_gives_the_same_outputs(model, case):
    settings = {key: value for key, value in CASES[case].items() if key not in GONE}
    made = rounded(model.generate_latents(**settings, recipe=RECIPES.get(case)))
    expected = EARLIER["latents"][case]
    assert made.keys() == expected.keys()
    for name, values in made.items():
        assert values == pytest.approx(expected[name], rel=1e-3, abs=1e-3), name


def test_its_recipe_is_the_one_that_ships(model):
    assert model.recipe == SHIPPED
