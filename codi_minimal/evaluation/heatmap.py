"""The 225 cells of a report as a picture.

`python -m codi_minimal.evaluation.heatmap docs/results/report.json` draws heatmap.png anew, beside the report.
"""

import argparse
from collections.abc import Mapping
from itertools import pairwise
from math import floor, nan
from pathlib import Path
from statistics import median

import torch
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from codi_minimal.checkpoint import read_json
from codi_minimal.data import PAIRINGS
from codi_minimal.evaluation.coherence import SUBSETS, Scores, cell_name, letters, mean_coherence
from codi_minimal.evaluation.progress import estimates

SET_NAMES = [letters(names) for names in SUBSETS]
FRAME, NOTHING = "#f0148c", "#e6e9ec"


def means_of(cells: Mapping[str, Scores]) -> list[list[float]]:
    """The 15 × 15 table: a row for each set of prompts, a column for each set of outputs; NaN: without a value."""
    means = [[mean_coherence(cells[cell_name(a, b)]).value for b in SUBSETS] for a in SUBSETS]
    return [[nan if value is None else value for value in row] for row in means]


def seen_together(prompts: tuple[str, ...], outputs: tuple[str, ...]) -> bool:
    """Whether one step of training sees all modalities of a cell: they are of one pairing.

    >>> seen_together(("text",), ("image", "text")), seen_together(("image",), ("audio",))
    (True, False)
    """
    return any({*prompts, *outputs} <= {*pairing} for pairing in PAIRINGS)


def draw_cells(cells: Mapping[str, Scores], path: Path) -> None:
    """The table, rows the prompts and columns the outputs; colours from the lowest cell to 1, grey without a value."""
    numbers = torch.tensor(means_of(cells), dtype=torch.float64)
    low = min(floor(20 * numbers.nan_to_num(1).min().item()) / 20, 0.95)
    figure = Figure(figsize=(11.5, 10.6), dpi=130, layout="constrained")
    axes = figure.add_subplot(facecolor=NOTHING)
    picture = axes.imshow(numbers.numpy(), vmin=low, vmax=1, cmap="YlGnBu", aspect="auto")
    for i, j in numbers.isfinite().nonzero().tolist():
        value = numbers[i, j].item()
        text = "1" if value == 1 else f"{min(value, 0.999):.3f}".removeprefix("0")
        axes.text(j, i, text, ha="center", va="center", color="white" if value > low + 0.6 * (1 - low) else "black")
    for i, (a, b) in enumerate(pairwise(SUBSETS)):
        width = 5 if len(a) < len(b) else 0.5
        axes.axhline(i + 0.5, color="white", linewidth=width)
        axes.axvline(i + 0.5, color="white", linewidth=width)
    framed = [(j, i) for i, a in enumerate(SUBSETS) for j, b in enumerate(SUBSETS) if seen_together(a, b)]
    for j, i in framed:
        axes.add_patch(Rectangle((j - 0.4, i - 0.4), 0.8, 0.8, fill=False, edgecolor=FRAME, linewidth=2))
    axes.set_xticks(range(len(SET_NAMES)), SET_NAMES)
    axes.set_yticks(range(len(SET_NAMES)), SET_NAMES)
    axes.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    axes.spines[:].set_visible(False)
    axes.set(xlabel="outputs", ylabel="prompts")
    axes.xaxis.set_label_position("top")
    figure.colorbar(picture, fraction=0.03, pad=0.02)
    figure.suptitle("Any to any: mean coherence with the prompts", fontsize=14)
    intervals = [mean.interval for scores in cells.values() if (mean := mean_coherence(scores)).interval]
    notes = [f"1: nothing is wrong; colours from {low:.2f} to 1"]
    if intervals:
        notes.append(f"median half width of the 95 % intervals: {median(b - a for a, b in intervals) / 2:.2f}")
    framed_by = f"a training step has seen all its modalities together ({len(framed)} of {len(SUBSETS) ** 2} cells)"
    labels = {framed_by: FRAME} | dict.fromkeys((*notes, "T text, I image, A audio, V video"), "none")
    handles = [Patch(facecolor="none", edgecolor=colour, linewidth=2, label=x) for x, colour in labels.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False)
    figure.savefig(path)


def main() -> None:
    """Draws heatmap.png beside each report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("reports", nargs="+", type=Path, help="report.json of an evaluation")
    for path in parser.parse_args().reports:
        draw_cells(estimates(read_json(path)["cells"]), path.with_name("heatmap.png"))


if __name__ == "__main__":
    main()
