"""Presets, their trip through JSON, and what no config may hold."""

import json
from dataclasses import replace
from typing import get_args, get_type_hints

import pytest

from codi_minimal import CoDi
from codi_minimal.alignment import WIRINGS
from codi_minimal.config import PRESETS, Config, ModelConfig, Stage, TrainConfig, UNetConfig, preset
from codi_minimal.diffusion.schedule import SCHEDULES
from codi_minimal.training.stages import STAGES

TYPES = [None, "x", "", [], {}, [1], {"a": 1}, [[8, 8]], float("nan"), -1, 10**9, 10**400, 1e30]

SHORTENED = ("beside-text", "beside-image", "beside-audio")  # what `small` leaves out, to be quick


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


def places(value, path=()):
    """The paths of all fields of nested dicts, and of the items of their lists."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield *path, key
        yield from places(item, (*path, key))


def right(key, bad) -> bool:
    """What looks like a bad value, and is none: any name, no autocast, a section in which all is at its default."""
    empty = bad == {} and str(key).endswith(("model", "train", "stages", "_unet"))
    return empty or (key == "name" and isinstance(bad, str)) or (key == "autocast" and bad is None)


def test_no_field_takes_another_type_or_an_absurd_size():
    whole = json.dumps(preset("tiny").to_dict())
    paths = list(places(json.loads(whole)))
    assert len(paths) > 100
    for (*path, last), bad in ((place, bad) for place in paths for bad in TYPES if not right(place[-1], bad)):
        values = target = json.loads(whole)
        for key in path:
            target = target[key]
        target[last] = bad
        with pytest.raises(ValueError, match=r"^config[^ ]*: .*, got ") as error:
            Config.from_dict(values)
        assert "\n" not in str(error.value) and len(str(error.value)) < 600
        assert str(last) in str(error.value), (path, last, bad)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ModelConfig(prediction="z0"), "ModelConfig.prediction: expected 'v' or 'epsilon', got 'z0'"),
        (lambda: ModelConfig(d=10**9), "ModelConfig.d: expected less than or equal to 4096, got 1000000000"),
        (lambda: UNetConfig(widths=(8, 9)), "UNetConfig.widths.1: expected a multiple of 8, got 9"),
        (lambda: ModelConfig(modalities=("text", "text")), "ModelConfig.modalities: expected each modality once, got "),
        (lambda: UNetConfig(widths=()), "UNetConfig.widths: Tuple should have at least 1 item"),
        (lambda: Stage(steps=True, batch=8), "Stage.steps: expected a valid integer, got True"),
        (lambda: TrainConfig(ema=1.0), "TrainConfig.ema: expected less than 1, got 1.0"),
        (lambda: TrainConfig(ema=float("nan")), "TrainConfig.ema: expected a finite number, got nan"),
        (lambda: TrainConfig(stages=[Stage(1, 1)]), "TrainConfig.stages: expected a valid dictionary"),
        (lambda: replace(preset("tiny"), model=None), "Config.model: expected .*ModelConfig.*, got None"),
    ],
)
def test_a_config_is_checked_when_it_is_made(make, message):
    with pytest.raises(ValueError, match=f"^{message}") as error:
        make()
    assert "\n" not in str(error.value)


def test_the_names_are_those_that_the_code_knows():
    hints = get_type_hints(ModelConfig) | get_type_hints(TrainConfig)
    assert set(get_args(hints["schedule"])) == set(SCHEDULES) and set(get_args(hints["wiring"])) == set(WIRINGS)


def test_the_smallest_sizes_make_a_model():
    unet = UNetConfig(widths=(8,), embed=16, tokens=1)
    sizes = {"d": 16, "d_env": 32, "summary": 1, "T": 2, "image_latent": 1, "image_widths": (8,)}
    sizes |= {"audio_latent": 1, "audio_widths": (8, 8, 8), "text_latent": (1, 2), "text_width": 8, "prompt_width": 8}
    sizes |= {"text_prompt_width": 8, "env_width": 8, "env_layers": 1, "vocoder_width": 8, "vocoder_layers": 1}
    sizes |= {"text_unet": unet, "image_unet": unet, "audio_unet": unet, "vocoder": "network"}
    model = CoDi(Config("smallest", ModelConfig(**sizes), TrainConfig()), ["seven"])
    made = model.generate({"text": "seven"}, list(model.modalities), steps=2)
    assert made["video"].isfinite().all() and made["audio"].isfinite().all()


def test_what_is_missing_has_its_default():
    values = preset("small").to_dict()
    del values["model"]["summary"], values["train"]["split_seed"], values["model"]["text_unet"]["depth"]
    assert Config.from_dict(values) == preset("small")
