"""Ablations, at the tiny scale: each variant is trained from the same start, and differs in one thing."""

import copy
import json
from dataclasses import asdict, replace

import pytest
import torch

from codi_minimal.alignment import WIRINGS, environment_modules
from codi_minimal.checkpoint import fingerprint
from codi_minimal.evaluation.agreement import chance
from codi_minimal.experiments import ablations as module
from codi_minimal.experiments.ablations import ASKED, VARIANTS, Variant, ablations, train, with_new_environment
from codi_minimal.recipes import PAPER
from codi_minimal.training.streams import CHAIN
from tests.models import NAMES, random_codi

pytestmark = pytest.mark.slow

SHIPS = VARIANTS["all of it"]


@pytest.fixture(autouse=True)
def no_data(monkeypatch):
    monkeypatch.delenv("CODI_DATA", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def test_only_v_and_the_attention_to_it_start_anew():
    model = random_codi()
    new = with_new_environment(model, VARIANTS["wiring: own"], steps=2, seed=0)
    for name, m in new.modalities.items():
        assert all(not x.out.weight.any() for x in environment_modules(m.denoiser)), name  # as before a first step
    before, found = model.state_dict(), new.state_dict()
    again = with_new_environment(model, SHIPS, steps=2, seed=0).state_dict()
    assert all(torch.equal(p, found[name]) for name, p in before.items() if ".environment" not in name)
    assert all(torch.equal(p, again[name]) for name, p in found.items())


@pytest.mark.parametrize("title", VARIANTS)
def test_a_variant_changes_what_it_says_and_nothing_else(title):
    model, variant = random_codi(), VARIANTS[title]
    new = with_new_environment(model, variant, steps=7, seed=0)
    of_before, found = (asdict(config) for config in (model.config, new.config))
    stages = found["train"].pop("stages")
    of_before["train"].pop("stages")
    assert found["train"] == of_before["train"] | variant.train and found["model"] == of_before["model"] | variant.model
    assert new.recipe == model.recipe.without(*variant.without)
    assert {stage["steps"] for stage in stages.values()} == {7 // len(CHAIN) if variant.chain else 7}
    changes = (variant.train, variant.model, variant.without, variant.chain)
    assert sum(map(bool, changes)) == {"all of it": 0, "nearest to the paper": 3}.get(title, 1)
    assert {m.environment.summary for m in new.modalities.values()} == {found["model"]["summary"]}


def test_every_wiring_is_a_variant():
    found = {variant.train.get("wiring", "others") for variant in VARIANTS.values()}
    assert found == set(WIRINGS)


def test_in_the_chain_a_link_trains_its_own_modalities_on_its_own_pairing(monkeypatch):
    asked = []
    monkeypatch.setattr(module, "train_environment", lambda run, *args: asked.append(args))
    monkeypatch.setattr(module, "train_joint", lambda run, *args: asked.append(args))
    train(None, VARIANTS["the paper's chain"])
    assert asked == [(f"{s}-{link}", names) for s in ("environment", "joint") for link, (_, names) in CHAIN.items()]
    trained = [name for _, names in CHAIN.values() for name in names]
    assert sorted(trained) == sorted(NAMES) and all(set(names) <= set(pair) for pair, names in CHAIN.values())
    asked.clear()
    train(None, SHIPS)
    assert asked == [(), ()]


def test_variants_are_trained_and_asked_and_a_stopped_run_goes_on(tmp_path, monkeypatch):
    few = {title: VARIANTS[title] for title in ("all of it", "the paper's chain", "wiring: off")}
    few["one token"] = Variant(model={"summary": 1})
    monkeypatch.setattr(module, "VARIANTS", few)
    monkeypatch.setattr(module, "PAPER", replace(PAPER, steps=2, steps_beside=2))
    monkeypatch.setattr(module, "ASKED", ASKED[:3])
    report = ablations(random_codi(), None, tmp_path, steps=3, samples=3, progress=False)
    assert set(report["variants"]) == {*few, "chance"}
    assert len({path.read_bytes() for path in tmp_path.glob("*/*/joint*.safetensors")}) == 1 + len(CHAIN) + 1
    for title in few:
        assert {x["n"] for x in report["variants"][title].values()} == {3}
    assert json.loads((tmp_path / "ablations.json").read_text()) == report
    page = (tmp_path / "ablations.md").read_text(encoding="utf-8")
    assert report["command"] in page and all(f"| {title} |" in page for title in report["variants"])
    monkeypatch.setattr(module, "train", None)  # which would be called again
    assert ablations(random_codi(), None, tmp_path, steps=3, samples=3, progress=False) == report
    monkeypatch.setattr(module, "VARIANTS", few | {"one token": SHIPS})  # another variant of the same title
    with pytest.raises(TypeError):
        ablations(random_codi(), None, tmp_path, steps=3, samples=3, progress=False)


def test_each_is_sampled_as_the_paper_has_it_with_its_own_wiring(tmp_path, monkeypatch):
    models = []
    monkeypatch.setattr(module, "train", lambda run, variant: None)
    monkeypatch.setattr(module, "ask", lambda question, model, n: models.append(model))
    monkeypatch.setattr(module, "answer", lambda question, samples: chance(question) | {"all": 0.5})
    model = copy.copy(random_codi())
    model.recipe = replace(model.recipe, autocast="bf16")
    ablations(model, None, tmp_path, workers=2, seed=4, progress=False)
    wirings = [variant.train.get("wiring", "others") for variant in VARIANTS.values() for _ in ASKED]
    assert [m.options for m in models] == [{"recipe": replace(PAPER, wiring=w, autocast="bf16")} for w in wirings]
    assert {(m.workers, m.seed) for m in models} == {(2, 4)}


def test_another_model_trains_in_another_folder():
    model = random_codi()
    changed = copy.deepcopy(model)
    changed.modalities["text"].denoiser.position.data.add_(1)
    assert fingerprint(model) == fingerprint(copy.deepcopy(model)) != fingerprint(changed)
