"""The report: report.json for programs, report.md and heatmap.png for people."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from codi_minimal.evaluation.heatmap import SET_NAMES, draw_cells, means_of
from codi_minimal.evaluation.statistics import Estimate, average

from codi_minimal.evaluation.coherence import (  # isort: skip
    ATTRIBUTES, CHANCES, NEAR_ONSET, RECALL, WELL_FORMED, Scores, mean_coherence,
)  # fmt: skip

COLUMNS = (*ATTRIBUTES, NEAR_ONSET, WELL_FORMED, "mean", *RECALL.values())
SETS = ("real", "reconstruction", "generated")  # whose distance to real renders is measured


def command(verb: str, **options: Any) -> str:
    """The command line that repeats a measurement, without the options that are None; that of a flag is ""."""
    given = (f"--{name} {value}".strip() for name, value in options.items() if value is not None)
    return " ".join(("python -m codi_minimal", verb, *given))


def save(out: Path, name: str, report: Mapping[str, Any], page: str) -> dict[str, Any]:
    """Write name.md and name.json, and return the report as plain JSON types."""
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(report, default=Estimate.record, indent=1, ensure_ascii=False)
    (out / f"{name}.md").write_text(page, encoding="utf-8")
    (out / f"{name}.json").write_text(f"{text}\n", encoding="utf-8")
    return json.loads(text)


def write(report: Mapping[str, Any], out: Path) -> dict[str, Any]:
    """Add a summary, write report.json, report.md and heatmap.png, and return it as plain JSON types."""
    report = {"summary": summary(report), **report}
    written = save(out, "report", report, markdown(report))
    draw_cells(report["cells"], out / "heatmap.png")
    return written


def summary(report: Mapping[str, Any]) -> dict[str, Any]:
    """The few figures that say how good a model is: mean and worst coherence of single prompts, and of all cells."""
    result: dict[str, Any] = {}
    for part in ("single", "cells"):
        means = {cell: mean_coherence(scores) for cell, scores in report[part].items()}
        rows: dict[str, list[Estimate]] = {}  # the cells of one set of prompts share their scenes; other cells do not
        for cell, mean in means.items():
            rows.setdefault(cell.split()[0], []).append(mean)
        mean = average(map(average, rows.values()), independent=True)
        counted = {cell: mean for cell, mean in means.items() if mean.value is not None}
        worst = min(counted, key=lambda cell: counted[cell].value, default=None)
        result[part] = {"cells": len(means), **_mean(mean), "worst": {"cell": worst, **_mean(counted.get(worst, mean))}}
    return result


def _mean(estimate: Estimate) -> dict[str, Any]:
    return {"mean": estimate.value, "interval": estimate.interval}


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table; None is a dash, floats have three digits, and the ends of intervals two."""

    def text(value: Any) -> str:
        if isinstance(value, Estimate):
            return value.text(2)
        return "-" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)

    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(map(text, row)) + " |" for row in rows])


def markdown(report: Mapping[str, Any]) -> str:
    """The report as a page: a heading, a table and some lines of explanation for each measure."""
    run, tables, minutes = report["run"], _tables(report), sum(report["run"]["seconds"].values()) / 60
    singles, cells = report["summary"]["single"], report["summary"]["cells"]
    return f"""# Any to any, measured

`{run["command"]}`: {minutes:.1f} minutes.
Data: {run["source"]}, {run["split"]} split; seed {run["seed"]}; numbers of samples: {run["sizes"]}.
Judged by rules, and by classifiers that `python -m codi_minimal judges --data DATA` trains and tests.

Brackets hold 95 % intervals. Samples that show the same recording or glyph are not independent, and intervals are wider
for it: shares have Wilson's interval of the effective number of samples, other figures that of a jackknife over items.
The bias is what so few samples add to a figure; it is not subtracted.

## The judges on real renders, and what the autoencoders keep
{tables["ceilings"]}

{tables["fidelity"]}

## One prompt, one output
{_headline(singles)}; {run["sizes"]["single"]} samples a cell.
The mean of a cell is over digit, colour, motion and exact onset, as far as the prompt gives them and the
output carries them. Of captions, those are counted that mention the attribute. The last columns have the recall: of the
captions whose prompt gives an attribute, the share that mentions it, right or wrong. Real captions leave attributes
out, too, and a model learns this from them.

{tables["single"]}

## All {cells["cells"]} cells
{_headline(cells)}; {run["sizes"]["cell"]} samples a cell, {run["sizes"]["single"]} where it is one of those above.
T, I, A, V: text, image, audio, video. `report.json` has all intervals, and the recall of captions.

![mean coherence, prompts by outputs](heatmap.png)

A frame marks a cell whose modalities some training step has seen together.
`python -m codi_minimal.evaluation.heatmap report.json` draws the picture anew.

{tables["cells"]}

## Several prompts, each of which gives a part
{run["sizes"]["parts"]} scenes a row; "all": every part asked for is right.

{tables["parts"]}

## What no prompt gives: do the streams agree?
"joint=False": each output made by itself, {run["sizes"]["apart"]} samples. "real": what the judges find in
{run["sizes"]["real"]} real scenes, all outputs being renders of one.
"cosine": of the outputs' prompt embeddings, which is the paper's measure of joint generation.

{tables["agreement"]}

![some of these samples](samples.png)

## Fréchet distance to real renders
On the classifiers' features: of other real renders, of the autoencoder's reconstructions (the floor), and of
what captions became. All sets have n samples. Between real renders the distance is nothing but bias. The bias of
generated samples is larger, as it also counts that the real ones show few recordings or glyphs.

{tables["quality"]}

The same with real renders that have the digits, colours, motions and onsets of the scenes that the captions describe,
by other hands and voices. These sets do not differ in how often an attribute occurs, so that the distance is one of
looks. They have no intervals, because a jackknife would draw attributes, too.

{tables["matched"]}

## What a prompt leaves open stays open
Entropy over its maximum in joint samples (1: all values are as frequent), and the variance of features within a digit,
over that of real renders.

{tables["diversity"]}
"""


def _headline(part: Mapping[str, Any]) -> str:
    mean, worst = (Estimate(x["mean"], 1, x["interval"]).text(3) for x in (part, part["worst"]))
    return f"Mean of the cells **{mean}**, worst {part['worst']['cell']} at {worst}"


def _tables(report: Mapping[str, Any]) -> dict[str, str]:
    """The tables of the page, in its order."""
    single, ceilings, diversity = (report[part] for part in ("single", "ceilings", "diversity"))
    cells = [[f"{value:.2f}".replace("nan", "-") for value in row] for row in means_of(report["cells"])]
    parts = [
        (title, *map(of["made"].get, ("all", *ATTRIBUTES)), of["real"]["all"], of["chance"])
        for title, of in report["parts"].items()
    ]
    agreement = [
        (f"{title}: {what}", value.n, value, *(of[how].get(what) for how in ("apart", "real", "chance")))
        for title, of in report["agreement"].items()
        for what, value in of["joint"].items()
    ]
    quality = [
        (name, of["real"].n, *map(of.get, SETS), *(of[which].bias for which in SETS))
        for name, of in report["quality"].items()
    ]
    matched = [(name, of["real"].n, *(of[which].value for which in SETS)) for name, of in report["matched"].items()]
    varied = {
        f"{title}: {output}, {attribute}": value
        for title, outputs in diversity["entropy"].items()
        for output, attributes in outputs.items()
        for attribute, value in attributes.items()
    } | {f"within a digit: {name}": value for name, value in diversity["spread"].items()}
    return {
        "ceilings": _scores({f"{which} {name}": {name: x} for which, of in ceilings.items() for name, x in of.items()}),
        "fidelity": table(
            ("reconstruction of", "", ""), [(name, *x) for name, of in report["fidelity"].items() for x in of.items()]
        ),
        "single": _scores(single),
        "cells": table(
            ("prompts \\ outputs", *SET_NAMES), [(name, *row) for name, row in zip(SET_NAMES, cells, strict=True)]
        ),
        "parts": table(("prompts → output", "all", *ATTRIBUTES, "real, all", "chance"), parts),
        "agreement": table(("", "n", "joint=True", "joint=False", "real", "chance"), agreement),
        "quality": table(("", "n", *SETS, *(f"bias, {which}" for which in SETS)), quality),
        "matched": table(("", "n", *SETS), matched),
        "diversity": table(
            ("", "n", "of the possible, or of the real", "bias"), [(name, x.n, x, x.bias) for name, x in varied.items()]
        ),
    }


def _scores(cells: Mapping[str, Scores]) -> str:
    """A row for each output of each cell."""
    found = [(cell, shares | {"mean": mean_coherence(of)}) for cell, of in cells.items() for shares in of.values()]
    found.append(("chance", CHANCES))
    return table(("prompt → output", *COLUMNS), [(cell, *map(shares.get, COLUMNS)) for cell, shares in found])
