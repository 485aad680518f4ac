"""The report: report.json for programs, report.md and heatmap.png for people."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from codi_minimal.evaluation.coherence import (
    ATTRIBUTES,
    CHANCES,
    NEAR_ONSET,
    RECALL,
    SUBSETS,
    WELL_FORMED,
    Scores,
    cell_name,
    letters,
    mean_coherence,
)
from codi_minimal.evaluation.heatmap import heatmap
from codi_minimal.evaluation.statistics import Estimate, average

COLUMNS = (*ATTRIBUTES, NEAR_ONSET, WELL_FORMED)
SETS = ("real", "reconstruction", "generated")  # whose distance to real renders is measured


def write(report: Mapping[str, Any], out: Path) -> dict[str, Any]:
    """Add a summary, write report.json, report.md and heatmap.png, and return it as plain JSON types."""
    report = {"summary": summary(report), **report}
    out.mkdir(parents=True, exist_ok=True)
    means = [[mean_coherence(report["cells"][cell_name(a, b)]).value for b in SUBSETS] for a in SUBSETS]
    heatmap(means, [letters(names) for names in SUBSETS], out / "heatmap.png")
    (out / "report.md").write_text(markdown(report), encoding="utf-8")
    report = plain(report)
    (out / "report.json").write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return report


def summary(report: Mapping[str, Any]) -> dict[str, Any]:
    """The few figures that say how good a model is: mean and worst coherence, and joint agreement."""
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
    return result | {"agreement": {title: answer["joint"] for title, answer in report["agreement"].items()}}


def _mean(estimate: Estimate) -> dict[str, Any]:
    return {"mean": estimate.value, "interval": estimate.interval}


def plain(value: Any) -> Any:
    """Plain JSON types, with the records of estimates."""
    return json.loads(json.dumps(value, default=Estimate.record))


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table; None is a dash, floats have three digits, and the ends of intervals two."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(map(_text, row)) + " |" for row in rows])


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, Estimate):
        return value.text(2)
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def markdown(report: Mapping[str, Any]) -> str:
    """The report as a page: a heading, a table and some lines of explanation for each measure."""
    run = report["run"]
    minutes = sum(run["seconds"].values()) / 60
    singles, cells = report["summary"]["single"], report["summary"]["cells"]
    ceilings = {f"{k} {m}": {m: shares} for k, scores in report["ceilings"].items() for m, shares in scores.items()}
    return f"""# Any to any, measured

`{run["command"]}`: {minutes:.1f} minutes.
Data: {run["source"]}, {run["split"]} split; seed {run["seed"]}; numbers of samples: {run["sizes"]}.
Judged by rules, and by classifiers that `python -m codi_minimal judges --data DATA` trains and tests.

Brackets hold 95 % intervals. Samples that show the same recording or glyph are not independent, and intervals are wider
for it: shares have Wilson's interval of the effective number of samples, other figures that of a jackknife over items.

## The judges on real renders, and what the autoencoders keep
{_scores(ceilings)}

{_fidelity(report["fidelity"])}

## One prompt, one output
{_headline(singles)}; {run["sizes"]["single"]} samples a cell.
The mean of a cell is over digit, colour, motion and exact onset, as far as the prompt gives them and the
output carries them. Of captions, those are counted that mention the attribute.

{_scores(report["single"])}

## What captions mention
The recall: of the captions whose prompt gives an attribute, the share that mentions it, right or wrong. Real captions
leave attributes out, too, and a model learns this from them.

{_recall(report["ceilings"], report["single"])}

## All {cells["cells"]} cells
{_headline(cells)}; {run["sizes"]["cell"]} samples a cell, {run["sizes"]["single"]} where it is one of those above.
T, I, A, V: text, image, audio, video. `report.json` has all intervals, and the recall of captions.

![mean coherence, prompts by outputs](heatmap.png)

{_cells(report["cells"])}

## Several prompts, each of which gives a part
{run["sizes"]["parts"]} scenes a row; "all": every part asked for is right.

{_parts(report["parts"])}

## What no prompt gives: do the streams agree?
"joint=False": each output made by itself, {run["sizes"]["apart"]} samples. "real": what the judges find in
{run["sizes"]["real"]} real scenes, all outputs being renders of one.
"cosine": of the outputs' prompt embeddings, which is the paper's measure of joint generation.

{_agreement(report["agreement"])}

![some of these samples](samples.png)

## Fréchet distance to real renders
On the classifiers' features: of other real renders, of the autoencoder's reconstructions (the floor), and of
what captions became. All sets have n samples. Few samples make the distance larger: the bias is what this n adds, and
is not subtracted. Between real renders the distance is nothing but bias. The bias of generated samples is larger, as it
also counts that the real ones show few recordings or glyphs.

{_quality(report["quality"])}

## What a prompt leaves open stays open
Entropy over its maximum in joint samples (1: all values are as frequent), and the variance of features within a digit,
over that of real renders. Few samples make the entropy smaller: the bias is what this n adds, and is not subtracted.

{_diversity(report["diversity"])}
"""


def _headline(part: Mapping[str, Any]) -> str:
    mean, worst = (Estimate(x["mean"], 1, x["interval"]).text(3) for x in (part, part["worst"]))
    return f"Mean of the cells **{mean}**, worst {part['worst']['cell']} at {worst}"


def _fidelity(fidelity: Mapping[str, Mapping[str, Estimate]]) -> str:
    rows = [(name, what, value) for name, row in fidelity.items() for what, value in row.items()]
    return table(("reconstruction of", "", ""), rows)


def _scores(cells: Mapping[str, Scores]) -> str:
    rows = [
        (cell, *(shares.get(name) for name in COLUMNS), mean_coherence(scores))
        for cell, scores in cells.items()
        for shares in scores.values()
    ]
    chance = ("chance", *(CHANCES.get(name) for name in COLUMNS), None)
    return table(("prompt → output", *COLUMNS, "mean"), [*rows, chance])


def _recall(ceilings: Mapping[str, Scores], cells: Mapping[str, Scores]) -> str:
    found = {"real captions": ceilings["real"], **cells}
    rows = [
        (name, *(shares[recall] for recall in RECALL.values()))
        for name, scores in found.items()
        for shares in scores.values()
        if set(RECALL.values()) <= set(shares)
    ]
    return table(("prompt → output", *RECALL.values()), rows)


def _cells(cells: Mapping[str, Scores]) -> str:
    names = [letters(names) for names in SUBSETS]
    means = [[mean_coherence(cells[cell_name(a, b)]).value for b in SUBSETS] for a in SUBSETS]
    rows = [
        (name, *("-" if value is None else f"{value:.2f}" for value in row))
        for name, row in zip(names, means, strict=True)
    ]
    return table(("prompts \\ outputs", *names), rows)


def _agreement(answers: Mapping[str, dict]) -> str:
    rows = [
        (f"{title}: {what}", value.n, value, *(answer[how].get(what) for how in ("apart", "real", "chance")))
        for title, answer in answers.items()
        for what, value in answer["joint"].items()
    ]
    return table(("", "n", "joint=True", "joint=False", "real", "chance"), rows)


def _parts(parts: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [
        (title, *(found["made"].get(name) for name in ("all", *ATTRIBUTES)), found["real"]["all"], found["chance"])
        for title, found in parts.items()
    ]
    return table(("prompts → output", "all", *ATTRIBUTES, "real, all", "chance"), rows)


def _quality(quality: Mapping[str, Mapping[str, Estimate]]) -> str:
    rows = [
        (name, row["real"].n, *(row[which] for which in SETS), *(row[which].bias for which in SETS))
        for name, row in quality.items()
    ]
    return table(("", "n", *SETS, *(f"bias, {which}" for which in SETS)), rows)


def _diversity(diversity: Mapping[str, Any]) -> str:
    rows = [
        (f"{title}: {output}, {attribute}", value.n, value, value.bias)
        for title, outputs in diversity["entropy"].items()
        for output, attributes in outputs.items()
        for attribute, value in attributes.items()
    ]
    rows += [(f"within a digit: {name}", value.n, value, value.bias) for name, value in diversity["spread"].items()]
    return table(("", "n", "of the possible, or of the real", "bias"), rows)
