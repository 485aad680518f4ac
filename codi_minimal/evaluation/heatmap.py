"""The 15 × 15 table as a picture."""

from collections.abc import Sequence
from pathlib import Path

import torch
from matplotlib.figure import Figure


def heatmap(values: Sequence[Sequence[float | None]], names: Sequence[str], path: Path) -> None:
    """Draw values "n n" in [0, 1] as a PNG, rows the prompts and columns the outputs; what has no value stays grey.

    `names` are the n labels, shorter ones first; a line is drawn where their length changes.
    """
    n = len(names)
    numbers = torch.tensor([[float("nan") if value is None else value for value in row] for row in values])
    low = 0.5 if (numbers.nan_to_num(1) >= 0.5).all() else 0.0  # a good table would be one colour on the whole scale
    figure = Figure(figsize=(0.62 * n + 2.2, 0.56 * n + 1.8), dpi=130, layout="constrained")
    axes = figure.add_subplot(facecolor="#e6e9ec")
    picture = axes.imshow(numbers.numpy(), vmin=low, vmax=1, cmap="YlGnBu", aspect="auto")
    for i, j in numbers.isfinite().nonzero().tolist():
        value = values[i][j]
        colour = "white" if (value - low) / (1 - low) > 0.6 else "black"
        axes.text(j, i, f"{value:.2f}".replace("0.", "."), ha="center", va="center", color=colour, fontsize=8.5)
    for i in range(1, n):
        if len(names[i]) != len(names[i - 1]):
            axes.axhline(i - 0.5, color="white", linewidth=3)
            axes.axvline(i - 0.5, color="white", linewidth=3)
    axes.set_xticks(range(n), names)
    axes.set_yticks(range(n), names)
    axes.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("outputs", fontsize=12)
    axes.xaxis.set_label_position("top")
    axes.set_ylabel("prompts", fontsize=12)
    figure.colorbar(picture, fraction=0.03, pad=0.02)
    figure.suptitle("Any to any: mean coherence with the prompts", fontsize=14)
    figure.supxlabel("T text   I image   A audio   V video", fontsize=10)
    figure.savefig(path)
