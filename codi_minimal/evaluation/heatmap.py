"""The 15 × 15 table as a picture."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

INK, PAPER, LINE = "#1b2733", "#ffffff", "#8a96a3"


def heatmap(values: Sequence[Sequence[float | None]], names: Sequence[str], path: Path) -> None:
    """Draw values in [0, 1], rows the prompts and columns the outputs; a cell without a value stays grey.

    Args:
        values: "n n".
        names: n labels, shorter ones first; a line is drawn where their length changes.
        path: the PNG to write.

    Raises:
        ValueError: if the values are not a square of as many rows as names.
    """
    n = len(names)
    if len(values) != n or any(len(row) != n for row in values):
        raise ValueError(f"expected {n} rows of {n} values, got rows of {[len(row) for row in values]}")
    numbers = [[float("nan") if value is None else value for value in row] for row in values]
    known = [value for row in values for value in row if value is not None]
    low = 0.5 if min(known, default=0) >= 0.5 else 0.0  # a good table would be one colour on the whole scale

    figure = Figure(figsize=(0.62 * n + 2.2, 0.56 * n + 1.8), dpi=130, facecolor=PAPER)
    FigureCanvasAgg(figure)  # the object API: no display, no global state
    axes = figure.add_subplot()
    picture = axes.imshow(numbers, vmin=low, vmax=1, cmap="YlGnBu", aspect="auto")
    axes.set_facecolor("#e6e9ec")
    for i, row in enumerate(values):
        for j, value in enumerate(row):
            if value is not None:
                colour = PAPER if (value - low) / (1 - low) > 0.6 else INK
                text = f"{value:.2f}".replace("0.", ".")
                axes.text(j, i, text, ha="center", va="center", color=colour, fontsize=8.5)
    breaks = [i - 0.5 for i in range(1, n) if len(names[i]) != len(names[i - 1])]
    for at in breaks:
        axes.axhline(at, color=PAPER, linewidth=3)
        axes.axvline(at, color=PAPER, linewidth=3)
    axes.set_xticks(range(n), names, fontsize=10, color=INK)
    axes.set_yticks(range(n), names, fontsize=10, color=INK)
    axes.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("outputs", fontsize=12, color=INK, labelpad=10)
    axes.xaxis.set_label_position("top")
    axes.set_ylabel("prompts", fontsize=12, color=INK, labelpad=10)
    bar = figure.colorbar(picture, ax=axes, fraction=0.03, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=9, labelcolor=INK)
    figure.suptitle("Any to any: mean coherence with the prompts", fontsize=14, color=INK, x=0.5, y=0.985)
    figure.text(0.5, 0.012, "T text   I image   A audio   V video", ha="center", fontsize=10, color=LINE)
    figure.tight_layout(rect=(0, 0.03, 1, 0.98))
    figure.savefig(path)
