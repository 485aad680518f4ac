import json
import re
from dataclasses import replace

import pytest
from PIL import Image

from codi_minimal.data import parse
from codi_minimal.evaluation.agreement import QUESTIONS
from codi_minimal.evaluation.evaluate import QUICK, evaluate
from codi_minimal.evaluation.report import table
from codi_minimal.evaluation.statistics import Estimate
from tests.models import random_codi


@pytest.fixture(scope="module")
def report(models, source, tmp_path_factory):
    out = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(QUICK, "real", 40)
        return evaluate(models.oracle, source, out, quick=True, samples=12, progress=False), out


@pytest.mark.usefixtures("data_dir")
def test_an_oracle_scores_at_the_ceiling(report):
    report, _ = report
    summary = report["summary"]
    assert summary["single"]["cells"] == 16 and summary["cells"]["cells"] == 225
    assert summary["single"]["mean"] >= 0.95 and summary["cells"]["mean"] >= 0.95
    assert report["ceilings"]["reconstruction"] == report["ceilings"]["real"]  # its autoencoders change nothing
    assert report["fidelity"]["text"]["exact captions"]["value"] == 1
    onset = report["agreement"]["onset, audio–video, under a digit-only text"]
    assert onset["joint"]["within one frame"]["value"] > onset["chance"]["within one frame"]
    assert onset["joint"]["all"]["n"] == 12
    assert all(found["made"]["all"]["value"] >= 0.8 > 2 * found["chance"] for found in report["parts"].values())
    near = report["agreement"]["digit, text–image–audio–video, under no prompt"]
    cosines = [name for name in near["joint"] if name.startswith("cosine")]
    assert len(cosines) == 6
    assert all(near["joint"][name]["value"] > 0.7 > 0.5 > near["apart"][name]["value"] for name in cosines)


def test_the_files_say_the_same(report):
    report, out = report
    assert json.loads((out / "report.json").read_text(encoding="utf-8")) == json.loads(json.dumps(report))
    page = (out / "report.md").read_text(encoding="utf-8")
    assert f"**{report['summary']['single']['mean']:.3f} [" in page and "test split" in page
    assert "--split" not in report["run"]["command"]
    assert all(len(set(map(len, rows))) == 1 for rows in tables(page))  # no row is short of a column
    assert (out / "samples.png").stat().st_size > 10_000
    with Image.open(out / "heatmap.png") as picture:
        assert picture.width > 800 and len(picture.convert("RGB").getcolors(2**20)) > 20


def tables(page):
    return [
        [re.split(r"(?<!\\)\|", row) for row in block.splitlines()]
        for block in re.findall(r"(?:^\|.*\n?)+", page, re.M)
    ]


def test_a_broken_model_gets_a_report_of_zeros(models, source, tmp_path, monkeypatch):
    rows = []
    monkeypatch.setitem(QUICK, "real", 3)
    monkeypatch.setattr("codi_minimal.evaluation.evaluate.contact_sheet", lambda sheet, _path: rows.extend(sheet))
    source = replace(source, split="validation")
    small, chosen = {"quick": True, "samples": 3, "cells": 1}, {"checkpoint": "x"}
    report = evaluate(models.broken, source, tmp_path, **small, chosen=chosen, progress=False)
    assert report["run"]["sizes"] == {"single": 3, "joint": 3, "apart": 3, "parts": 3, "cell": 1, "real": 3}
    asked = "evaluate --checkpoint x --data DATA --split validation --quick --samples 3 --cells 1 --seed 0"
    assert report["run"]["command"] == f"python -m codi_minimal {asked}"
    assert report["summary"]["single"]["mean"] == 0 and report["summary"]["cells"]["mean"] == 0
    assert all(answer["joint"]["all"]["value"] == 0 for answer in report["agreement"].values())
    assert "validation split" in (tmp_path / "report.md").read_text(encoding="utf-8")
    assert [row["title"] for row in rows] == [question.title for question in QUESTIONS[:4] for _ in range(2)]
    for row in rows:  # the sheet shows each sample beside what it was given
        captions = row["prompts"].get("text", [])
        assert [list(parse(caption)) for caption in captions] == [["digit"]] * ("digit-only" in row["title"])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"seed": -1}, "seed: expected an integer from 0 to 2..63 - 1, got -1"),
        ({"cells": 0}, "cells: expected an integer from 1 to 2..63 - 1, got 0"),
        ({"workers": 0}, "workers: expected an integer from 1 to 2..63 - 1, got 0"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_wrong_is_refused_before_anything_is_measured(source, tmp_path, monkeypatch, wrong, message):
    monkeypatch.setattr("codi_minimal.evaluation.sections.measure_ceilings", lambda *a: pytest.fail("too late"))
    with pytest.raises(ValueError, match=message):
        evaluate(random_codi(), source, tmp_path, progress=False, **wrong)
    assert not list(tmp_path.iterdir())


def test_a_table_shows_what_is_missing_as_a_dash():
    assert table(("a", "b"), [(None, Estimate(None, 0, None)), (0.5, 3)]).splitlines()[2:] == [
        "| - | - |",
        "| 0.500 | 3 |",
    ]
