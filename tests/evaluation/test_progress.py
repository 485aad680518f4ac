"""An evaluation that was stopped goes on where it was, and ends in the same report."""

import json
from types import SimpleNamespace

import pytest
from torch import nn

from codi_minimal.evaluation.coherence import SUBSETS, cell_name
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


SHARE = {"k": 3, "n": 4, "value": 0.75, "interval": [0.300641842582402, 0.954413301849183]}


@pytest.mark.parametrize(
    "sections",
    [
        None,
        [],
        {"parts": 3},
        {"parts": {"result": FOUND["n"], "seconds": 1.0}},
        {"parts": {"result": 1, "seconds": "soon", "samples": 8}},
        {"parts": {"result": 1, "seconds": 1.0, "samples": None}},
        {"parts": {"result": {**SHARE, "k": "x"}, "seconds": 1.0, "samples": 8}},
        {"parts": {"result": [{**SHARE, "k": 9}], "seconds": 1.0, "samples": 8}},
        {"parts": {"result": {**SHARE, "value": 0.7}, "seconds": 1.0, "samples": 8}},
    ],
)
def test_a_damaged_file_is_refused_by_name(tmp_path, sections):
    path = tmp_path / "progress.json"
    path.write_text(json.dumps({"run": {"seed": 0}, "sections": sections}))
    with pytest.raises(ValueError, match="expected the sections of an evaluation in .*progress.json; it is damaged"):
        Progress(path, {"seed": 0})
    assert "parts" not in Progress(path, {"seed": 1})  # of another run: not used


def test_a_file_nested_too_deeply_is_refused_by_name(tmp_path):
    path = tmp_path / "progress.json"
    path.write_text("[" * 100_000)
    with pytest.raises(ValueError, match="expected JSON; .*progress.json is broken"):
        Progress(path, {})


def test_without_a_path_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    progress = Progress(None, {})
    progress.add("parts", FOUND, 1.0, 8)
    progress.close()
    assert progress.result("parts") == FOUND and not any(tmp_path.iterdir())


class Listed(nn.Module):
    """The oracle as a module, whose evaluation can go on."""

    def __init__(self, model, guidance):
        super().__init__()
        self.model, self.encode_prompt = model, model.encode_prompt
        self.modalities = {name: SimpleNamespace(**vars(m), guidance=guidance) for name, m in model.modalities.items()}

    def generate(self, *args, arrivals, **settings):
        assert not arrivals
        return self.model.generate(*args, **settings)


def test_a_stopped_evaluation_goes_on_and_nothing_is_made_twice(models, source, tmp_path, monkeypatch):
    rows, stop = [], [None]

    def row(_sampler, _world, _judges, n, names, known):
        if len(rows) == stop[0]:
            raise KeyboardInterrupt
        rows.append(names)
        return {cell: known.get(cell, {"text": {"digit": Share(n, n)}}) for cell in cells_of(names)}

    def cells_of(names):
        return [cell_name(names, outputs) for outputs in SUBSETS]

    def run(out, guidance=2.0):
        sizes, options = Sizes(single=2, joint=2, apart=1, cell=1, parts=1, real=2), {"arrivals": False}
        model = Listed(models.oracle, guidance)
        return evaluate(model, source, tmp_path / out, sizes=sizes, options=options, progress=False)

    monkeypatch.setattr(f"{evaluate.__module__}.measure_row", row)
    whole = run("whole")
    assert not (tmp_path / "whole" / PROGRESS).exists()
    assert whole["run"]["command"].endswith("--seed 0 --no-arrivals")
    rows.clear()
    stop[0] = 12
    with pytest.raises(KeyboardInterrupt):
        run("stopped")
    assert (tmp_path / "stopped" / PROGRESS).exists()
    stop[0] = None
    for measure in ("measure_single", "measure_parts", "measure_agreement"):
        monkeypatch.delattr(f"{evaluate.__module__}.{measure}")
    with pytest.raises(NameError, match="measure_single"):  # another model, which begins at the beginning
        run("stopped", guidance=3.0)
    resumed = run("stopped")
    assert rows == list(SUBSETS)
    del whole["run"]["seconds"], resumed["run"]["seconds"]
    assert resumed == whole
    assert (tmp_path / "stopped" / "samples.png").exists()
