"""Pictures for notebooks: small PNGs that a notebook displays at the end of a cell."""

import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from codi_minimal.data.voices import RATE
from codi_minimal.evaluation.statistics import share
from codi_minimal.sheet import ACCENT, DRAW, GREY, INK, draw_sheet
from codi_minimal.training.run import Run

# inches of one sample
WIDTH = {"text": 1.9, "image": 1.1, "audio": 2.2, "video": 4.6}
HEIGHT = {"text": 0.75, "image": 1.1, "audio": 0.75, "video": 0.62}


class Picture:
    """A figure as a PNG of few colours: notebooks with outputs stay small."""

    def __init__(self, figure: Figure, dpi: int = 90):
        FigureCanvasAgg(figure)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=dpi, facecolor="white")
        picture, small = Image.open(buffer).convert("RGB"), io.BytesIO()
        picture = picture.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.NONE)
        picture.save(small, format="png", optimize=True)
        self.png = small.getvalue()

    def _repr_png_(self) -> bytes:
        return self.png


def grid(rows: Mapping[str, Mapping[str, Sequence[Any] | Tensor]], columns: Sequence[str] = ()) -> Picture:
    """Samples in rows: {title of the row: {modality: samples}}; a row is of one modality. `columns`: their titles."""
    lines = _lines(rows)
    width, height = _size(lines)
    figure = Figure(figsize=(width, height + 0.3))
    _draw(figure, lines, 0.3, columns)
    return Picture(figure)


Line = tuple[str, str, Sequence[Any] | Tensor]  # a row: its title, its modality, samples
GAP = 0.1  # inches


def _lines(rows: Mapping[str, Mapping[str, Sequence[Any] | Tensor]]) -> list[Line]:
    return [(title, *next(iter(row.items()))) for title, row in rows.items()]


def _left(lines: Sequence[Line]) -> float:
    return max([1.3, *(0.15 + 0.065 * len(title) for title, *_ in lines)])  # where the samples begin


def _size(lines: Sequence[Line]) -> tuple[float, float]:
    width = max((WIDTH[name] * len(items) for _, name, items in lines), default=0)
    return _left(lines) + width, sum(HEIGHT[name] + GAP for _, name, _ in lines)


def _draw(figure: Figure, lines: Sequence[Line], top: float, columns: Sequence[str] = ()) -> None:
    """Draw rows of samples from `top` inches below the figure's upper edge."""
    (width, height), left = figure.get_size_inches(), _left(lines)
    for row, (title, name, items) in enumerate(lines):
        figure.text(0.05 / width, 1 - (top + HEIGHT[name] / 2) / height, title, va="center", size=9, color=GREY)
        for i, item in enumerate(items):
            x, w, h = left + i * WIDTH[name], WIDTH[name] - 0.08, HEIGHT[name]
            axes = figure.add_axes((x / width, 1 - (top + h) / height, w / width, h / height))
            axes.axis("off")
            DRAW[name](axes, item)
            if row == 0 and i < len(columns):
                axes.set_title(columns[i], size=9, color=INK)
        top += HEIGHT[name] + GAP


def sheet(
    outputs: Mapping[str, Any], prompts: Mapping[str, Sequence[Any]] | None = None, titles: Sequence[str] = ()
) -> Picture:
    """A row for each sample: outputs of `generate` {modality: n samples}, and its prompts {modality: n prompts}."""
    rows = []
    for i in range(len(next(iter(outputs.values())))):
        given = {name: [items[i]] for name, items in (prompts or {}).items()}
        made = {name: items[i] for name, items in outputs.items()}
        rows.append({"title": titles[i] if titles else f"sample {i + 1}", "prompts": given, "outputs": made})
    return Picture(draw_sheet(rows), dpi=65)


def sound(wave: Tensor) -> Any:
    """A player for one recording (n,), 8 kHz."""
    from IPython.display import Audio

    return Audio(wave.detach().cpu().numpy(), rate=RATE, normalize=False)


def line(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]], x: str = "", y: str = "", **axes: Any
) -> Picture:
    """Curves {label: (x, y)} on one pair of axes; further arguments as of `Axes.set`, as yscale="log"."""
    figure = Figure(figsize=(5.2, 3), layout="constrained")
    ax = figure.subplots()
    for label, (a, b) in curves.items():
        x_axis, y_axis = (torch.as_tensor(values).detach().cpu().numpy() for values in (a, b))
        ax.plot(x_axis, y_axis, label=label, lw=1.6, marker=_dot(x_axis))
    ax.set(xlabel=x, ylabel=y, **axes)
    ax.spines[["top", "right"]].set_visible(False)
    if len(curves) > 1:
        ax.legend(frameon=False, fontsize=9)
    return Picture(figure)


def _dot(x: Sequence[float]) -> str | None:
    return "." if len(x) < 2 else None  # a single point makes no line


def heat(values: Tensor, rows: Sequence[str] = (), columns: Sequence[str] = (), title: str = "", **imshow) -> Picture:
    """A matrix (r, c) as colours, with names at its sides."""
    r, c = values.shape
    figure = Figure(figsize=(min(9, 2.2 + 0.28 * c), min(7, 1.2 + 0.24 * r)), layout="constrained")
    ax = figure.subplots()
    drawn = ax.imshow(values.detach().cpu().float().numpy(), aspect="auto", cmap="magma", **imshow)
    ax.set_yticks(range(len(rows)), rows, fontsize=8)
    ax.set_xticks(range(len(columns)), columns, fontsize=8, rotation=60, ha="right")
    ax.set_title(title, fontsize=10)
    figure.colorbar(drawn)
    return Picture(figure)


def scatter(clouds: Mapping[str, Tensor], title: str = "") -> Picture:
    """Clouds of points {label: (n, 2)}."""
    figure = Figure(figsize=(4.4, 3.6), layout="constrained")
    ax = figure.subplots()
    for label, points in clouds.items():
        ax.scatter(*points.detach().cpu().numpy().T, label=label, s=9, alpha=0.7, lw=0)
    ax.set_title(title, fontsize=10)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, fontsize=9)
    return Picture(figure)


def right(wanted: Tensor, found: Tensor) -> str:
    """How many of n are right, with Wilson's 95 % interval.

    >>> right(torch.tensor([1, 2, 3, 4]), torch.tensor([1, 2, 3, 0]))
    '0.750 [0.301, 0.954] (n = 4)'
    """
    return str(share(wanted.cpu() == found.cpu()))


class Live:
    """Shows the training of a stage, its loss so far and samples, in one picture that is updated.

    Args:
        run: set `run.watch` to this. look: returns {modality: samples} before, during and after training.
        loss: the name of the logged loss to draw.
    """

    def __init__(self, run: Run, look: Callable[[], Mapping[str, Any]] | None = None, loss: str = "loss"):
        self.log, self.look, self.loss = Path(run.folder) / "log.jsonl", look, loss
        self.moments: dict[str, Mapping[str, Any]] = {}
        self.handle: Any = None

    def __call__(self, stage: str, done: int) -> None:
        from IPython.display import display

        if self.look is not None:
            self.moments[f"step {done}"] = self.look()
        picture = self.draw(stage)
        if picture is not None and self.handle is None:
            self.handle = display(picture, display_id=True)
        elif picture is not None:
            self.handle.update(picture)

    def losses(self, stage: str) -> tuple[list[int], list[float]]:
        """Steps and losses logged so far."""
        lines = map(json.loads, self.log.read_text(encoding="utf-8").splitlines()) if self.log.exists() else []
        found = [(entry["step"], entry[self.loss]) for entry in lines if entry["stage"] == stage and self.loss in entry]
        return [step for step, _ in found], [value for _, value in found]

    def draw(self, stage: str) -> Picture | None:
        """The loss curve, and a row of samples for each moment."""
        steps, losses = self.losses(stage)
        lines = _lines(self.moments)
        if not steps and not lines:
            return None
        width, height = _size(lines)
        width, height = max(6.0, width), 2.2 + height
        figure = Figure(figsize=(width, height))
        ax = figure.add_axes((0.7 / width, 1 - 1.55 / height, 5.0 / width, 1.4 / height))
        ax.plot(steps, losses, color=ACCENT, lw=1.4, marker=_dot(steps))
        ax.set(xlabel=stage, ylabel=self.loss)
        ax.spines[["top", "right"]].set_visible(False)
        _draw(figure, lines, 2.1)
        return Picture(figure)
