"""An evaluation that was stopped goes on where it was, and ends in the same report."""

import json

import pytest

from codi_minimal.evaluation import sections
from codi_minimal.evaluation.coherence import SUBSETS, cell_name
from codi_minimal.evaluation.evaluate import PROGRESS, QUICK, evaluate
from codi_minimal.evaluation.progress import Progress
from codi_minimal.evaluation.statistics import Estimate
from codi_minimal.recipes import CASCADE, PAPER

FOUND = {"T → I": {"digit": Estimate(0.75, 4, (0.3, 0.95))}, "n": 4, "say": [Estimate(None, 0, None), 0.5]}


def test_a_section_is_kept_for_its_own_run_alone(tmp_path):
    path = tmp_path / "out" / "progress.json"
    progress = Progress(path, {"seed": 0})
    progress.keep("parts", FOUND, seconds=1.5, samples=8)
    again = Progress(path, {"seed": 0})
    assert again.sections == {"parts": {"result": FOUND, "seconds": 1.5, "samples": 8}}
    assert not Progress(path, {"seed": 1}).sections


SHARE = {"value": 0.75, "n": 4, "interval": [0.3, 0.95]}


@pytest.mark.parametrize(
    "sections",
    [
        None,
        [],
        {"parts": 3},
        {"parts": {"result": FOUND["n"], "seconds": 1.0}},
        {"parts": {"result": 1, "seconds": "soon", "samples": 8}},
        {"parts": {"result": 1, "seconds": 1.0, "samples": None}},
        {"parts": {"result": {**SHARE, "n": "x"}, "seconds": 1.0, "samples": 8}},
        {"parts": {"result": [{**SHARE, "interval": [0.9, 0.3]}], "seconds": 1.0, "samples": 8}},
        {"parts": {"result": {**SHARE, "value": None}, "seconds": 1.0, "samples": 8}},
    ],
)
def test_a_damaged_file_is_refused_by_name(tmp_path, sections):
    path = tmp_path / "progress.json"
    path.write_text(json.dumps({"run": {"seed": 0}, "sections": sections}))
    with pytest.raises(ValueError, match="expected the sections of an evaluation in .*progress.json; it is damaged"):
        Progress(path, {"seed": 0})
    assert not Progress(path, {"seed": 1}).sections  # of another run: not used


def test_a_file_nested_too_deeply_is_refused_by_name(tmp_path):
    path = tmp_path / "progress.json"
    path.write_text("[" * 100_000)
    with pytest.raises(ValueError, match="expected JSON; .*progress.json is broken"):
        Progress(path, {})


def test_a_stopped_evaluation_goes_on_and_nothing_is_made_twice(models, source, tmp_path, monkeypatch):
    rows, stop = [], [None]

    def row(_model, _world, n, names, known):
        if len(rows) == stop[0]:
            raise KeyboardInterrupt
        rows.append(names)
        return {cell: known.get(cell, {"text": {"digit": Estimate(1.0, n, (0.5, 1.0))}}) for cell in cells_of(names)}

    def cells_of(names):
        return [cell_name(names, outputs) for outputs in SUBSETS]

    def run(out, recipe=PAPER):
        monkeypatch.setattr(models.oracle, "recipe", recipe)
        return evaluate(models.oracle, source, tmp_path / out, quick=True, samples=2, progress=False)

    monkeypatch.setitem(QUICK, "real", 2)
    monkeypatch.setattr(sections, "measure_row", row)
    whole = run("whole")
    assert not (tmp_path / "whole" / PROGRESS).exists()
    assert whole["run"]["command"].endswith("--quick --samples 2 --seed 0")
    rows.clear()
    stop[0] = 12
    with pytest.raises(KeyboardInterrupt):
        run("stopped")
    assert (tmp_path / "stopped" / PROGRESS).exists()
    stop[0] = None
    for measure in ("measure_ceilings", "measure_single", "measure_parts", "measure_agreement"):
        monkeypatch.delattr(sections, measure)
    with pytest.raises(AttributeError, match="measure_ceilings"):  # another recipe, which begins at the beginning
        run("stopped", CASCADE)
    resumed = run("stopped")
    assert rows == list(SUBSETS)
    del whole["run"]["seconds"], resumed["run"]["seconds"]
    assert resumed == whole
    assert (tmp_path / "stopped" / "samples.png").exists()
