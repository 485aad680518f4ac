"""An evaluation that was stopped goes on where it was, and ends in the same report."""

import pytest
from torch import nn

from codi_minimal.evaluation.evaluate import PROGRESS, Sizes, evaluate
from codi_minimal.evaluation.progress import Progress, shares
from codi_minimal.evaluation.report import plain
from codi_minimal.evaluation.statistics import Share

FOUND = {"T → I": {"digit": Share(3, 4)}, "n": 4, "mean error": None, "say": [Share(0, 0), 0.5]}


def test_shares_come_back_as_they_were():
    assert shares(plain(FOUND)) == FOUND


def test_a_section_is_kept_for_its_own_run_alone(tmp_path):
    path = tmp_path / "out" / "progress.json"
    Progress(path, {"seed": 0}).add("parts", FOUND, seconds=1.5, samples=8)
    again = Progress(path, {"seed": 0})
    assert "parts" in again and "cells" not in again and again.result("parts") == FOUND
    assert "parts" not in Progress(path, {"seed": 1})
    again.close()
    assert not path.exists() and "parts" not in Progress(path, {"seed": 0})


def test_without_a_path_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    progress = Progress(None, {})
    progress.add("parts", FOUND, 1.0, 8)
    progress.close()
    assert progress.result("parts") == FOUND and not any(tmp_path.iterdir())


class Stopped(nn.Module):
    """A model that counts its calls, and is stopped at one of them."""

    def __init__(self, model, stop: int = -1):
        super().__init__()
        self.model, self.modalities, self.calls, self.stop = model, model.modalities, 0, stop

    def encode_prompt(self, name, data):
        return self.model.encode_prompt(name, data)

    def generate(self, *args, **settings):
        if self.calls == self.stop:
            raise KeyboardInterrupt
        self.calls += 1
        return self.model.generate(*args, **settings)


def test_a_stopped_evaluation_goes_on_and_nothing_is_made_twice(models, source, tmp_path):
    def run(out, **stop):
        model = Stopped(models.oracle, **stop)
        sizes = Sizes(single=3, joint=3, apart=3, cell=1, parts=3, real=3)
        return evaluate(model, source, tmp_path / out, sizes=sizes, progress=False), model.calls

    whole, calls = run("whole")
    assert not (tmp_path / "whole" / PROGRESS).exists()
    with pytest.raises(KeyboardInterrupt):
        run("stopped", stop=calls - 40)  # in the cells: all before them, and 12 of their 15 rows, are done
    assert (tmp_path / "stopped" / PROGRESS).exists()
    resumed, left = run("stopped")
    assert 40 <= left < 40 + 15
    del whole["run"]["seconds"], resumed["run"]["seconds"]
    assert resumed == whole
    assert (tmp_path / "stopped" / "samples.png").exists()
