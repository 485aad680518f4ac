"""The time that training would take: proportional to the steps, of every stage and of the caches."""

from dataclasses import replace

import pytest

from codi_minimal.config import preset
from codi_minimal.training import estimate as room
from codi_minimal.training.estimate import estimate
from codi_minimal.training.run import Run


@pytest.fixture(autouse=True)
def built_in_sample(monkeypatch):
    monkeypatch.delenv("CODI_DATA", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def test_it_names_all_stages_of_the_preset_and_grows_with_their_steps(monkeypatch):
    seen, fit = {}, Run.fit
    monkeypatch.setattr(Run, "fit", lambda run, name, *a, **k: seen.setdefault(name, fit(run, name, *a, **k)))
    config = preset("tiny")
    names = ("autoencoder-image", "prompts-text-image", "denoiser-image", "joint")
    stages = {name: replace(config.train.stages[name], steps=600) for name in names}
    plan = replace(config.train, stages=stages)
    minutes = estimate(replace(config, train=plan), device="cpu", steps=3, progress=False)
    assert list(minutes) == ["caches", *names] and all(value > 0 for value in minutes.values())
    for name, result in seen.items():  # the time of three steps, times two hundred
        assert result.steps == 3 and minutes[name] == pytest.approx(200 * result.seconds / 60, rel=0.02)


def test_slow_first_steps_count_only_where_there_is_no_other(monkeypatch):
    lines = '{"stage": "joint", "step": 20, "seconds": 100.0}\n{"stage": "joint", "step": 40, "seconds": 102.0}\n'

    def train(run):
        (run.folder / "log.jsonl").write_text(lines)

    monkeypatch.setattr(room, "STAGES", {"joint": type("Stage", (), {"train": staticmethod(train)})})
    config = preset("tiny")
    plan = replace(config.train, stages={"joint": replace(config.train.stages["joint"], steps=1200)})
    assert estimate(replace(config, train=plan), device="cpu")["joint"] == pytest.approx(2.0)
