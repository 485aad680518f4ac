"""The report: report.json for programs, report.md and heatmap.png for people."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from codi_minimal.evaluation.coherence import (
    ATTRIBUTES,
    CHANCES,
    NEAR_ONSET,
    SUBSETS,
    WELL_FORMED,
    Scores,
    cell_name,
    letters,
    mean_coherence,
)
from codi_minimal.evaluation.heatmap import heatmap
from codi_minimal.evaluation.statistics import Share

COLUMNS = (*ATTRIBUTES, NEAR_ONSET, WELL_FORMED)


def write(report: Mapping[str, Any], out: Path) -> dict[str, Any]:
    """Add a summary, write report.json, report.md and heatmap.png, and return it as plain JSON types."""
    report = {"summary": summary(report), **report}
    out.mkdir(parents=True, exist_ok=True)
    means = [[mean_coherence(report["cells"][cell_name(a, b)]) for b in SUBSETS] for a in SUBSETS]
    heatmap(means, [letters(names) for names in SUBSETS], out / "heatmap.png")
    (out / "report.md").write_text(markdown(report), encoding="utf-8")
    report = plain(report)
    (out / "report.json").write_text(
        json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    return report


def summary(report: Mapping[str, Any]) -> dict[str, Any]:
    """The few figures that say how good a model is: mean and worst coherence, and joint agreement."""
    result: dict[str, Any] = {}
    for part in ("single", "cells"):
        means = {cell: mean_coherence(scores) for cell, scores in report[part].items()}
        means = {cell: mean for cell, mean in means.items() if mean is not None}
        worst = min(means, key=means.__getitem__, default=None)
        result[part] = {
            "cells": len(report[part]),
            "mean": sum(means.values()) / len(means) if means else None,
            "worst": {"cell": worst, "mean": means.get(worst)},
        }
    return result | {"agreement": {title: answer["joint"] for title, answer in report["agreement"].items()}}


def plain(value: Any) -> Any:
    """Shares as their records, all else as it is."""
    if isinstance(value, Share):
        return value.record()
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table; None is a dash, floats have three digits."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(map(_text, row)) + " |" for row in rows])


def markdown(report: Mapping[str, Any]) -> str:
    """The report as a page: a heading, a table and a line of explanation for each measure."""
    run = report["run"]
    minutes = sum(run["seconds"].values()) / 60
    singles, cells = report["summary"]["single"], report["summary"]["cells"]
    return f"""# Any to any, measured

`{run["command"]}`: {minutes:.1f} minutes.
Data: {run["source"]}, {run["split"]} split; seed {run["seed"]}; numbers of samples: {run["sizes"]}.
Shares stand with Wilson's 95 % interval. Judged by the project's own classifiers, which
`python -m codi_minimal judges --data DATA` trains and tests, and rules.

## The judges on real renders, and what the autoencoders keep
{_ceilings(report["ceilings"])}

{_fidelity(report["fidelity"])}

## One prompt, one output
{_headline(singles)}; {run["sizes"]["single"]} samples a cell.
The mean of a cell is over digit, colour, motion and exact onset, as far as the prompt says them and the
output carries them; of captions, what they say.

{_scores(report["single"])}

## All {cells["cells"]} cells
{_headline(cells)}; {run["sizes"]["cell"]} samples a cell, {run["sizes"]["single"]} where it is one of those above.
T, I, A, V: text, image, audio, video.

![mean coherence, prompts by outputs](heatmap.png)

{_cells(report["cells"])}

## Several prompts, each of which says a part
{run["sizes"]["parts"]} scenes a row; "all": every part asked for is right.

{_parts(report["parts"])}

## What no prompt says: do the streams agree?
"joint=False": each output made by itself, {run["sizes"]["apart"]} samples. "real": what the judges find in
{run["sizes"]["real"]} real scenes, all outputs being renders of one.

{_agreement(report["agreement"])}

![some of these samples](samples.png)

## Nearness of the outputs in the prompt space
Mean cosine of the outputs' prompt embeddings, as the paper measures joint generation; "real": renders of one scene.

{_similarity(report["similarity"])}

## Fréchet distance to real renders
On the classifiers' features: of other real renders, of the autoencoder's reconstructions (the floor), and of
what captions became.

{_quality(report["quality"])}

## What a prompt leaves open stays open
Entropy over its maximum in joint samples (1: each value as often as any other), and the variance of
features within a digit, over that of real renders.

{_diversity(report["diversity"])}
"""


def _headline(part: Mapping[str, Any]) -> str:
    worst = part["worst"]
    return f"Mean of the cells **{_text(part['mean'])}**, worst {worst['cell']} at {_text(worst['mean'])}"


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, Share):
        return f"{value.value:.3f} [{value.interval[0]:.2f}, {value.interval[1]:.2f}]" if value.n else "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _ceilings(ceilings: Mapping[str, Scores]) -> str:
    rows = [
        (f"{which} {output}", shares["digit"].n, *(shares.get(name) for name in COLUMNS))
        for which, scores in ceilings.items()
        for output, shares in scores.items()
    ]
    return table(("", "n", *COLUMNS), rows)


def _fidelity(fidelity: Mapping[str, Mapping[str, float]]) -> str:
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


def _cells(cells: Mapping[str, Scores]) -> str:
    names = [letters(names) for names in SUBSETS]
    rows = [
        (letters(prompts), *(mean_coherence(cells[cell_name(prompts, outputs)]) for outputs in SUBSETS))
        for prompts in SUBSETS
    ]
    short = [(name, *("-" if mean is None else f"{mean:.2f}" for mean in means)) for name, *means in rows]
    return table(("prompts \\ outputs", *names), short)


def _agreement(answers: Mapping[str, dict]) -> str:
    rows = [
        (f"{title}: {what}", answer["n"], value, *(answer[how].get(what) for how in ("apart", "real", "chance")))
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


def _similarity(similarities: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    rows = [
        (f"{pair} (of: {title})", *(found[how][pair] for how in ("joint", "apart", "real")))
        for title, found in similarities.items()
        for pair in found["real"]
    ]
    return table(("", "joint=True", "joint=False", "real"), rows)


def _quality(quality: Mapping[str, Mapping[str, float]]) -> str:
    columns = ("n", "real", "reconstruction", "generated")
    return table(
        ("", *columns), [(name, *(row[column] for column in columns)) for name, row in quality.items()]
    )


def _diversity(diversity: Mapping[str, Any]) -> str:
    open_ = [
        (f"{title}: {output}, {attribute}", value)
        for title, outputs in diversity["entropy"].items()
        for output, attributes in outputs.items()
        for attribute, value in attributes.items()
    ]
    spread = [(f"within a digit: {name}", value) for name, value in diversity["spread"].items()]
    return table(("", "of the possible, or of the real"), open_ + spread)
