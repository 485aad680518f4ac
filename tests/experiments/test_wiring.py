"""The wirings, at the tiny scale: each has a training of its own, from the same start."""

import copy
import json
from dataclasses import replace

import pytest
import torch

from codi_minimal.alignment import WIRINGS, environment_modules
from codi_minimal.checkpoint import fingerprint
from codi_minimal.evaluation.agreement import QUESTIONS, chance
from codi_minimal.experiments.wiring import wiring, with_new_environment
from codi_minimal.recipes import SHIPPED
from tests.models import random_codi


def test_only_v_and_the_attention_to_it_start_anew():
    model = random_codi()
    variant = with_new_environment(model, "own", steps=2, seed=0)
    for name, m in variant.modalities.items():
        assert all(not x.out.weight.any() for x in environment_modules(m.denoiser)), name  # as before a first step
    before, found = model.state_dict(), variant.state_dict()
    again = with_new_environment(model, "others", steps=2, seed=0).state_dict()
    assert all(torch.equal(p, found[name]) for name, p in before.items() if ".environment" not in name)
    assert all(torch.equal(p, again[name]) for name, p in found.items())


def test_each_wiring_is_trained_and_asked(tmp_path, monkeypatch):
    monkeypatch.delenv("CODI_DATA", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    report = wiring(random_codi(), None, tmp_path, steps=2, samples=3, progress=False)
    assert set(report["agreement"]) == set(WIRINGS)
    assert len({path.read_bytes() for path in tmp_path.glob("*/*/joint.safetensors")}) == len(WIRINGS) - 1
    for answers in report["agreement"].values():
        assert {title: answer["all"]["n"] for title, answer in answers.items()} == {q.title: 3 for q in QUESTIONS}
    assert json.loads((tmp_path / "wiring.json").read_text()) == report
    page = (tmp_path / "wiring.md").read_text()
    assert report["command"] in page and all(f"| {name} |" in page for name in (*WIRINGS, "chance"))


def test_each_wiring_is_that_of_the_recipe_and_no_finished_stream_is_a_prompt(tmp_path, monkeypatch):
    asked = {}
    instead = {
        "ask": lambda question, model, n: asked.setdefault(question, []).append(model),
        "answer": lambda question, samples: chance(question),
        "train_environment": lambda run: None,
        "train_joint": lambda run: None,
    }
    for name, function in instead.items():
        monkeypatch.setattr(f"codi_minimal.experiments.wiring.{name}", function)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    wiring(random_codi(), None, tmp_path, progress=False)
    assert set(asked) == set(QUESTIONS)
    for models in asked.values():
        recipes = [model.options["recipe"] for model in models]
        assert recipes == [replace(SHIPPED.without("arrivals"), wiring=name) for name in reversed(WIRINGS)]


def test_another_model_trains_in_another_folder():
    model = random_codi()
    changed = copy.deepcopy(model)
    changed.modalities["text"].denoiser.position.data.add_(1)
    assert fingerprint(model) == fingerprint(copy.deepcopy(model)) != fingerprint(changed)


@pytest.mark.parametrize("name", WIRINGS)
def test_the_sizes_are_the_models(name):
    variant = with_new_environment(random_codi(), name, steps=7, seed=0)
    assert {stage.steps for stage in variant.config.train.stages.values()} == {7}
    assert variant.config.train.wiring == name and variant.config.model == random_codi().config.model
