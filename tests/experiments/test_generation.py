"""Experiments that only generate, at the tiny scale: sampling, probe, and where all of them take their data."""

import copy
from dataclasses import replace

import pytest
import torch

from codi_minimal.data import Pairs
from codi_minimal.data.world import World
from codi_minimal.experiments.gap import gap
from codi_minimal.experiments.given import given
from codi_minimal.experiments.probe import linear, probe
from codi_minimal.experiments.sampling import sampling
from codi_minimal.experiments.together import together
from codi_minimal.recipe import Recipe
from codi_minimal.recipes import SHIPPED
from tests.models import random_codi


@pytest.fixture(autouse=True)
def no_data(monkeypatch):
    monkeypatch.delenv("CODI_DATA", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.mark.parametrize("experiment", [together, gap, given, probe, sampling])
def test_settings_are_chosen_on_the_validation_share(experiment, tmp_path, monkeypatch):
    def stop(source):
        raise InterruptedError(source.split, source.split_seed)

    monkeypatch.setattr(World, "sample", lambda self, *_, **__: stop(self.source))
    monkeypatch.setattr(Pairs, "draw", lambda self, *_: stop(self._source))
    model = copy.deepcopy(random_codi())
    model.config = replace(model.config, train=replace(model.config.train, split_seed=5))
    with pytest.raises(InterruptedError) as stopped:
        experiment(model, None, tmp_path, samples=4, progress=False)
    assert stopped.value.args == ("validation", 5)


@pytest.mark.parametrize("experiment", [together, sampling])
def test_a_distance_needs_two_samples(experiment, tmp_path):
    with pytest.raises(ValueError, match="samples: expected an integer from 2 to 2..63 - 1, got 1"):
        experiment(random_codi(), None, tmp_path, samples=1)


def test_guidance_and_steps_are_measured_for_each_output(tmp_path, monkeypatch):
    monkeypatch.setattr("codi_minimal.experiments.sampling.GUIDANCE", (1.0, 4.0))
    monkeypatch.setattr("codi_minimal.experiments.sampling.STEPS", (2,))
    report = sampling(random_codi(), None, tmp_path, samples=3)
    assert set(report["guidance"]) == {"1", "4"} and set(report["guidance"]["1"]) == {"text", "image", "audio", "video"}
    assert report["guidance"]["1"]["image"] != report["guidance"]["4"]["image"]
    assert set(report["steps"]) == {"ddim, 2", "dpm-solver++, 2", "ddpm, 2"}
    for found in report["steps"].values():
        assert set(found) == {"text", "image", "audio"} and found["image"]["fréchet"]["value"] > 0
        assert found["text"]["fréchet"] is None
    page = (tmp_path / "sampling.md").read_text()
    assert Recipe.from_dict(report["recipe"]) == SHIPPED and "Recipe: shipped" in page
    assert "| dpm-solver++, 2 |" in page and "text: fréchet" not in page


def test_a_linear_probe_finds_what_is_linear_and_nothing_in_noise():
    generator = torch.Generator().manual_seed(0)
    x, noise = torch.randn(2, 400, 8, generator=generator)
    y = (x[:, 0] > 0).long()
    assert linear(x, y, 2, seed=0).value > 0.9
    low, high = linear(noise, y, 2, seed=0).interval
    assert low <= 0.55 and high >= 0.45


def test_probes_ask_for_what_each_modality_carries(tmp_path):
    report = probe(random_codi(), None, tmp_path, samples=80)
    carried = {name: set(found) for name, found in report["accuracy"].items()}
    assert carried == {
        "text": {"digit", "colour", "motion"},
        "image": {"digit", "colour"},
        "audio": {"digit", "onset"},
        "video": {"digit", "colour", "motion", "onset"},
    }
    assert report["accuracy"]["audio"]["onset"]["0"]["n"] == 40
    assert 0 < report["accuracy"]["text"]["motion"]["0"]["n"] < 40  # captions that say no motion are not asked
    assert "| V_audio: onset |" in (tmp_path / "probe.md").read_text()
