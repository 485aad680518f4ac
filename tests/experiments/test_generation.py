"""Experiments that only generate, at the tiny scale: bridge, memory, sampling, probe."""

import copy
import json
from dataclasses import replace

import pytest
import torch

from codi_minimal.data import Pairs
from codi_minimal.data.world import World
from codi_minimal.experiments.bridge import NEVER_PAIRED, bridge, roads
from codi_minimal.experiments.gap import gap
from codi_minimal.experiments.memory import OUTPUTS, memory
from codi_minimal.experiments.probe import linear, probe
from codi_minimal.experiments.sampling import sampling
from tests.models import random_codi


@pytest.fixture(autouse=True)
def no_data(monkeypatch):
    monkeypatch.delenv("CODI_DATA", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.mark.parametrize("experiment", [gap, memory, probe, sampling])
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


def test_roads_differ_in_whom_a_stream_sees():
    found = roads(("image", "audio"))
    assert [options["bridge"] for options in found.values()] == [False, True, True]
    over_text = {"text": ("image", "audio"), "image": ("text",), "audio": ("text",)}
    assert found["over text alone"]["wiring"] == over_text and "wiring" not in found["both"]


def test_the_bridge_asks_every_question_on_every_road(tmp_path):
    report = bridge(random_codi(), None, tmp_path, samples=2)
    assert set(report["agreement"]) == {question.title for question in NEVER_PAIRED}
    for found in report["agreement"].values():
        shares = [value for road, value in found.items() if road != "chance"]
        assert len(shares) == 6 and all(share["n"] == 2 for share in shares)
    assert json.loads((tmp_path / "bridge.json").read_text()) == report
    assert report["command"] in (tmp_path / "bridge.md").read_text()


def test_prompts_are_asked_with_and_without_the_memory(tmp_path):
    model = copy.deepcopy(random_codi())
    model.memory.fit(torch.randn(3, model.config.model.d, generator=torch.Generator().manual_seed(0)))
    asked, forward = [], model.memory.forward
    model.memory.forward = lambda c: asked.append(bool(model.memory.captions.any())) or forward(c)
    report = memory(model, None, tmp_path, samples=2)
    assert asked == [False, True] * 4 * len(OUTPUTS) and model.memory.captions.any()
    for found in report["coherence"].values():
        assert set(found) == {"text", "image", "audio", "video"}
        assert found["audio"]["as they are"]["n"] <= 2
    assert report["command"] in (tmp_path / "memory.md").read_text()


def test_a_distance_needs_two_samples(tmp_path):
    with pytest.raises(ValueError, match="samples: expected an integer from 2 to 2..63 - 1, got 1"):
        sampling(random_codi(), None, tmp_path, samples=1)


def test_guidance_and_steps_are_measured_for_each_output(tmp_path, monkeypatch):
    monkeypatch.setattr("codi_minimal.experiments.sampling.GUIDANCE", (1.0, 4.0))
    monkeypatch.setattr("codi_minimal.experiments.sampling.START", (1.0, 0.7))
    monkeypatch.setattr("codi_minimal.experiments.sampling.STEPS", (2,))
    report = sampling(random_codi(), None, tmp_path, samples=3)
    assert set(report["guidance"]) == {"1", "4"} and set(report["guidance"]["1"]) == {"text", "image", "audio", "video"}
    assert report["start"]["1 T"]["video"] != report["start"]["0.7 T"]["video"]
    assert set(report["steps"]) == {"ddim, 2", "dpm-solver++, 2", "ddpm, 2"}
    for found in report["steps"].values():
        assert set(found) == {"text", "image", "audio"} and found["image"]["fréchet"] > 0
        assert found["text"]["fréchet"] is None
    page = (tmp_path / "sampling.md").read_text()
    assert "guidance_start 1 (text), 0.9 (image), 1 (audio), 0.9 (video)" in page
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
