"""What experiments share: results that are kept one by one, and what they depend on."""

import copy

import pytest

from codi_minimal.data import load
from codi_minimal.experiments.base import one_by_one, run_of
from tests.models import random_codi


def test_a_stopped_run_goes_on_and_what_has_changed_is_measured_again(tmp_path):
    measured, broken = [], ["b, 2"]

    def measure(title):
        if title in broken:
            raise InterruptedError
        measured.append(title)
        return {"share": len(measured)}

    asked = {"a: λ = 1": {"seed": 0}, "b, 2": {"seed": 0}}
    with pytest.raises(InterruptedError):
        one_by_one(tmp_path / "rows", asked, measure, 3, progress=False)
    broken.clear()
    found = one_by_one(tmp_path / "rows", asked, measure, 3, progress=False)
    assert measured == ["a: λ = 1", "b, 2"] and found == {"a: λ = 1": {"share": 1}, "b, 2": {"share": 2}}
    assert len(list((tmp_path / "rows").iterdir())) == 2
    changed = asked | {"b, 2": {"seed": 1}}
    assert one_by_one(tmp_path / "rows", changed, measure, 3, progress=False)["b, 2"] == {"share": 3}
    assert measured == ["a: λ = 1", "b, 2", "b, 2"]


def test_results_depend_on_weights_judges_data_and_options(monkeypatch):
    train, other = load(hub=False, split="train"), load(hub=False, split="validation")
    model = random_codi()
    changed = copy.deepcopy(model)
    changed.modalities["text"].denoiser.position.data.add_(1)
    runs = [run_of(model, train, seed=0), run_of(changed, train, seed=0), run_of(model, other, seed=0)]
    runs.append(run_of(model, train, seed=1))
    monkeypatch.setattr("codi_minimal.experiments.base.shipped_judges", lambda: changed)
    runs.append(run_of(model, train, seed=0))
    assert all(runs.count(run) == 1 for run in runs)
