"""Presets, and their trip through JSON."""

import json

import pytest

from codi_minimal.config import PRESETS, Config, preset
from codi_minimal.training.stages import STAGES

SHORTENED = ("beside-text", "beside-image", "beside-audio")  # what the hour and a half of `small` has no time for


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_survives_json_and_has_the_stages_in_order(name):
    config = preset(name)
    assert config.name == name
    assert Config.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    left_out = {"vocoder", *(SHORTENED if name == "small" else ())}
    assert list(config.train.stages) == [stage for stage in STAGES if stage not in left_out]


def test_bad_presets_and_configs_are_named():
    with pytest.raises(ValueError, match="expected a preset out of tiny, small, base.*got 'huge'"):
        preset("huge")
    values = preset("tiny").to_dict()
    values["model"]["colour"] = 3
    with pytest.raises(ValueError, match="colour"):
        Config.from_dict(values)
    with pytest.raises(ValueError, match="train"):
        Config.from_dict({"name": "x", "model": {}})
