"""Pictures for notebooks: small PNGs that a notebook displays at the end of a cell."""

import io
import json
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from codi_minimal.data.voices import RATE
from codi_minimal.evaluation.statistics import share
from codi_minimal.media import write_mp4
from codi_minimal.sheet import ACCENT, DRAW, GREY, INK, draw_sheet, new_page
from codi_minimal.training.run import Run
from codi_minimal.training.sheets import heat_figure

Rows = Mapping[str, Mapping[str, Sequence[Any] | Tensor]]  # {title of a row: {its modality: samples}}
# inches of one sample, and between rows
WIDTH = {"text": 1.9, "image": 1.1, "audio": 2.2, "video": 4.6}
HEIGHT = {"text": 0.55, "image": 1.1, "audio": 0.75, "video": 0.62}
GAP = 0.1


class Picture:
    """A figure as a PNG of few colours: notebooks with outputs stay small."""

    def __init__(self, figure: Figure, dpi: int = 90):
        buffer, small = io.BytesIO(), io.BytesIO()
        figure.savefig(buffer, format="png", dpi=dpi, facecolor="white")
        picture = Image.open(buffer).convert("RGB")
        picture = picture.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.NONE)
        picture.save(small, format="png", optimize=True)
        self.png = small.getvalue()

    def _repr_png_(self) -> bytes:
        return self.png


def grid(rows: Rows, columns: Sequence[str] = ()) -> Picture:
    """Samples in rows: {title of the row: {modality: samples}}; a row is of one modality. `columns`: their titles."""
    return Picture(_page(rows, 0.3, columns=columns)[0])


def _page(rows: Rows, top: float, least: float = 0, columns: Sequence[str] = ()) -> tuple[Figure, Callable[..., Axes]]:
    """A `new_page`, at least `least` inches wide, with rows of samples from `top` inches below its upper edge."""
    lines = [(title, *next(iter(row.items()))) for title, row in rows.items()]
    left = max([1.3, *(0.15 + 0.065 * len(title) for title in rows)])  # where the samples begin
    width = max([least, *(left + WIDTH[name] * len(items) for _, name, items in lines)])
    height = top + sum(HEIGHT[name] + GAP for _, name, _ in lines)
    figure, box = new_page(width, height)
    for row, (title, name, items) in enumerate(lines):
        figure.text(0.05 / width, 1 - (top + HEIGHT[name] / 2) / height, title, va="center", size=9, color=GREY)
        for i, item in enumerate(items):
            axes = box(left + i * WIDTH[name], top, WIDTH[name] - 0.08, HEIGHT[name])
            DRAW[name](axes, item)
            if row == 0 and i < len(columns):
                axes.set_title(columns[i], size=9, color=INK)
        top += HEIGHT[name] + GAP
    return figure, box


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


def movie(video: Tensor, wave: Tensor | None = None) -> Any:
    """A player for one clip (f, 3, h, w) in [0, 1], 8 frames a second, with its sound (n,), 8 kHz, if there is one."""
    from IPython.display import Video

    with TemporaryDirectory() as folder:
        data = write_mp4(Path(folder) / "clip.mp4", video, wave).read_bytes()
    return Video(b64encode(data).decode(), embed=True, mimetype="video/mp4", html_attributes="controls loop")


def line(
    curves: Mapping[str, Sequence[Sequence[float]] | Tensor], x: str = "", y: str = "", dots: bool = False, **axes: Any
) -> Picture:
    """Curves {label: (x, y)} on one pair of axes, or `dots`; further arguments as of `Axes.set`, as yscale="log"."""
    figure = Figure(figsize=(5.2, 3), layout="constrained")
    ax = figure.subplots()
    for label, values in curves.items():
        points = [torch.as_tensor(of_axis).detach().cpu().numpy() for of_axis in values]
        marker = "." if dots or len(points[0]) < 2 else None  # a single point makes no line
        ax.plot(*points, label=label, lw=0 if dots else 1.6, marker=marker)
    ax.set(xlabel=x, ylabel=y, **axes)
    ax.spines[["top", "right"]].set_visible(False)
    if len(curves) > 1:  # beside a cloud, so that no dot is hidden
        ax.legend(frameon=False, fontsize=9, **(dict(loc="upper left", bbox_to_anchor=(1, 1)) if dots else {}))
    return Picture(figure)


def scatter(clouds: Mapping[str, Tensor], title: str = "") -> Picture:
    """Clouds of points {label: (n, 2)}."""
    return line({label: points.T for label, points in clouds.items()}, dots=True, title=title)


def heat(values: Tensor, rows: Sequence[str] = (), columns: Sequence[str] = (), title: str = "", **imshow) -> Picture:
    """A matrix (r, c) as colours, with names at its sides; further arguments as of `Axes.imshow`."""
    return Picture(heat_figure(values, rows, columns, title, **imshow))


def right(wanted: Tensor, found: Tensor) -> str:
    """The share of the n indices (n,) found that are those wanted, with Wilson's 95 % interval.

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
        if self.handle is None:
            self.handle = display(self.draw(stage), display_id=True)
        else:
            self.handle.update(self.draw(stage))

    def losses(self, stage: str) -> tuple[list[int], list[float]]:
        """Steps and losses logged so far."""
        entries = map(json.loads, self.log.read_text(encoding="utf-8").splitlines()) if self.log.exists() else []
        mine = [entry for entry in entries if entry["stage"] == stage and self.loss in entry]
        return [entry["step"] for entry in mine], [entry[self.loss] for entry in mine]

    def draw(self, stage: str) -> Picture:
        """The loss curve, and a row of samples for each moment."""
        steps, losses = self.losses(stage)
        figure, box = _page(self.moments, 2.1, least=6)
        ax = box(0.7, 0.15, 5, 1.4)
        ax.axis("on")
        ax.plot(steps, losses, color=ACCENT, lw=1.4, marker="." if len(steps) < 2 else None)
        ax.set(xlabel=stage, ylabel=self.loss)
        ax.spines[["top", "right"]].set_visible(False)
        return Picture(figure)
