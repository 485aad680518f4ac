"""Checkpoints whose config has other values, or whose weights have other bytes."""

import json
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codi_minimal import CoDi
from codi_minimal.recipe import Recipe
from codi_minimal.recipes import RECIPES
from tests.fuzz.outcome import fuzzing, limits, outcome
from tests.models import random_codi

pytestmark = pytest.mark.slow

VALUES = [None, True, "", "x", [], {}, [1], [8, 8], {"a": 1}, -1, 0, 1, 3, 10**6, 10**9, 10**400, 0.5, 1e308, "cosine"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A checkpoint, and beside it a copy to damage."""
    folder = tmp_path_factory.mktemp("checkpoints")
    random_codi().save_pretrained(folder / "whole")
    return folder


def places(value, path=()):
    """The paths of all values in nested dicts and lists."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from places(item, (*path, key))


def load(folder):
    model = CoDi.from_pretrained(folder, "cpu")
    return model.generate({"text": "seven"}, ("text", "image"), steps=1)


def check(made) -> None:
    assert made["image"].shape == (1, 3, 32, 32) and made["image"].isfinite().all()


@fuzzing(60)
@given(st.data())
def test_configs(folder, data):
    config = json.loads((folder / "whole" / "config.json").read_text(encoding="utf-8"))
    altered(config, data)
    broken = copied(folder)
    (broken / "config.json").write_text(json.dumps(config), encoding="utf-8")
    outcome("checkpoints", lambda: load(broken), check)


def altered(content: dict, data: st.DataObject) -> None:
    """Changes, removes or adds a value anywhere in JSON, in place."""
    *path, last = data.draw(st.sampled_from([place for place in places(content) if "vocabulary" not in place[:-1]]))
    target = content
    for key in path:
        target = target[key]
    what = data.draw(st.sampled_from(["change", "change", "remove", "add"]))
    if what == "change":
        target[last] = data.draw(st.sampled_from(VALUES))
    elif what == "remove":
        del target[last]
    elif isinstance(target, dict):
        target["new"] = data.draw(st.sampled_from(VALUES))


@fuzzing(100)
@given(st.sampled_from(list(RECIPES)), st.data())
def test_recipes(name, data):
    content = json.loads(json.dumps(RECIPES[name].to_dict()))
    altered(content, data)
    settings = {"outputs": ("text", "image"), "steps": 1}
    outcome("recipes", lambda: random_codi().generate(**settings, recipe=Recipe.from_dict(content)), check)


@fuzzing(40)
@given(st.sampled_from(["config.json", "model.safetensors"]), st.floats(0, 1), st.binary(max_size=4), st.booleans())
def test_bytes(folder, name, where, change, cut):
    broken = copied(folder)
    content = bytearray((folder / "whole" / name).read_bytes())
    at = int(where**4 * len(content))  # more often in the header
    content[at : len(content) if cut else at + len(change)] = change
    (broken / name).write_bytes(content)
    outcome("checkpoints", lambda: load(broken), check)


def test_a_config_that_asks_for_gigabytes_is_refused_before_it_gets_them(folder):
    config = json.loads((folder / "whole" / "config.json").read_text(encoding="utf-8"))
    config["config"]["config"]["model"]["image_unet"] |= {"widths": [1024, 1024]}  # 2 GB
    broken = copied(folder)
    (broken / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with limits(), pytest.raises(ValueError, match="the model of config.json; of another shape"):
        load(broken)


def copied(folder):
    broken = folder / "broken"
    shutil.rmtree(broken, ignore_errors=True)
    return shutil.copytree(folder / "whole", broken)
