"""A checkpoint of an earlier version loads, and generates what that version did; see golden/make_checkpoint.py."""

import json
from pathlib import Path

import pytest

from tests.golden.make_checkpoint import CASES, generated, write

EARLIER = json.loads((Path(__file__).parent / "golden" / "checkpoint.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> dict[str, dict[str, list[float]]]:
    folder = tmp_path_factory.mktemp("earlier")
    write(folder, EARLIER["content"], EARLIER["tensors"])
    return generated(folder)


@pytest.mark.parametrize("case", CASES)
def test_an_earlier_checkpoint_gives_the_same_outputs(made, case):
    expected = EARLIER["latents"][case]
    assert made[case].keys() == expected.keys()
    for name, values in made[case].items():
        assert values == pytest.approx(expected[name], rel=1e-3, abs=1e-3), name
