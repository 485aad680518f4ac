"""The contact sheet: one page with a row for each sample, its prompts and its outputs.

Video and audio have one time axis, eight frames above 8192 samples, so that one can see whether the voice starts when
the motion does.
"""

import textwrap
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torchaudio
from einops import rearrange
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.functional import pad

from codi_minimal.data.scenes import FRAMES
from codi_minimal.data.voices import RATE

ROWS, GIVEN, LINES = 20, 8, 8  # at most: rows of a page, prompts of a row, lines of a caption
GREY, INK, ACCENT = "#8a8f98", "#1c2330", "#2f5d8a"
# inches
WIDTH, MARGIN, HEAD, TITLE, ROW = 14.74, 0.35, 0.55, 0.36, 2.2
PLACES = {  # x, y below the row's title, width and height
    "given": (0.35, 0, 2.4, ROW - 0.2),
    "text": (3.05, 0, 1.9, ROW),
    "image": (5.25, 0, 2.04, 2.04),
    "video": (7.59, 0, 6.8, 0.83),
    "audio": (7.59, 0.87, 6.8, 0.48),
    "mel": (7.59, 1.39, 6.8, 0.64),
}
HEADS = {"given": "given", "text": "text", "image": "image", "video": "video and audio, on one clock"}
GIVEN_HEIGHT = {"text": 0.7, "image": 1.2, "audio": 0.6, "video": 0.6}


def new_page(width: float, height: float, dpi: int = 90) -> tuple[Figure, Callable[..., Axes]]:
    """An empty page, and a function (x, y, width, height) that adds axes at x from its left and y from its top."""
    figure = Figure(figsize=(width, height), dpi=dpi, facecolor="white")
    FigureCanvasAgg(figure)

    def box(x: float, y: float, w: float, h: float) -> Axes:
        axes = figure.add_axes((x / width, 1 - (y + h) / height, w / width, h / height))
        axes.axis("off")
        return axes

    return figure, box


def contact_sheet(rows: Sequence[Mapping[str, Any]], path: str | Path, count: int | None = None) -> Path:
    """Draws one row a sample, as `draw_sheet` does, and saves the page as PNG."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # a box stands for it, which is enough
        draw_sheet(rows, count).savefig(path, format="png")
    return Path(path)


def draw_sheet(rows: Sequence[Mapping[str, Any]], count: int | None = None) -> Figure:
    """A page with one row a sample: the first 20 samples, and a line that says so if there are more.

    Args:
        rows: each {"title": str, "prompts": {modality: [item, …]}, "outputs": {modality: item}}; an item is a
            string (text), "3 h w" (image), "n" (audio, 8 kHz) or "f 3 h w" (video). Either may be empty. Of more than
            8 prompts the first 7 are drawn, and the rest are counted.
        count: the number of all samples, where `rows` holds only the first of them.
    """
    if not rows:
        raise ValueError("expected at least one row, got none")
    count, rows = count or len(rows), rows[:ROWS]
    if unknown := {name for row in rows for name in (*row["prompts"], *row["outputs"])} - set(DRAW):
        raise ValueError(f"expected modalities out of {list(DRAW)}, got {sorted(unknown)}")
    height, inner = HEAD + len(rows) * (TITLE + ROW) + MARGIN, WIDTH - 2 * MARGIN
    figure, box = new_page(WIDTH, height, dpi=130)
    for name, head in HEADS.items():
        _label(box(PLACES[name][0], 0.2, 1, 0.25), head, color=GREY, size=10)
    for i, row in enumerate(rows):
        top = HEAD + i * (TITLE + ROW)
        box(MARGIN, top, inner, 0.02).axhline(0.5, color="#d5d9de", lw=0.8)
        _label(box(MARGIN, top + 0.06, inner, 0.24), row["title"], weight="bold")
        top += TITLE
        _prompts(box, top, [(name, item) for name, items in row["prompts"].items() for item in items])
        mel = {"mel": row["outputs"]["audio"]} if "audio" in row["outputs"] else {}
        for name, item in {**row["outputs"], **mel}.items():
            x, y, w, h = PLACES[name]
            DRAW.get(name, _mel)(box(x, top + y, w, h), item)
    if count > len(rows):
        _label(box(MARGIN, height - 0.3, 1, 0.25), f"the first {len(rows)} of {count} samples", color=GREY, size=10)
    return figure


def _prompts(box: Callable[..., Axes], top: float, given: Sequence[tuple[str, Any]]) -> None:
    x, _, w, h = PLACES["given"]
    drawn = given if len(given) <= GIVEN else given[: GIVEN - 1]
    cell = h / GIVEN if len(drawn) < len(given) else h / max(len(given), 1)
    for i, (name, item) in enumerate(drawn):
        DRAW[name](box(x, top + i * cell, w, min(cell - 0.1, GIVEN_HEIGHT[name])), item, anchor="W")
    if len(drawn) < len(given) or not given:
        rest = f"and {len(given) - len(drawn)} more" if given else "nothing"
        _label(box(x, top + len(drawn) * cell, w, 0.3), rest, color=GREY, style="italic")


def _label(axes: Axes, text: str, color: str = INK, size: float = 11, **style: Any) -> None:
    plain = text.encode("utf-8", "replace").decode("utf-8")  # fonts have no lone surrogates, which are broken bytes
    # parse_math: a dollar sign does not start a formula
    axes.text(0, 1, plain, va="top", transform=axes.transAxes, parse_math=False, color=color, size=size, **style)


def _text(axes: Axes, caption: str, anchor: str = "C") -> None:
    lines = textwrap.fill(f"“{caption}”", 20, max_lines=LINES, placeholder=" …")
    _label(axes, lines, size=12.5, family="serif", style="italic", linespacing=1.3)


def _image(axes: Axes, image: Tensor, anchor: str = "C") -> None:
    axes.imshow(rearrange(image.detach().cpu().clamp(0, 1), "c h w -> h w c").numpy(), interpolation="nearest")
    axes.set_anchor(anchor)


def _video(axes: Axes, video: Tensor, anchor: str = "C") -> None:
    framed = pad(video, (0, 1, 0, 0), value=1.0)  # a white gap after every frame
    _image(axes, rearrange(framed, "f c h w -> c h (f w)"), anchor)


def _audio(axes: Axes, wave: Tensor, anchor: str = "C") -> None:
    n = len(wave)
    axes.vlines([frame * n / FRAMES for frame in range(1, FRAMES)], -1, 1, color="#e3e6ea", lw=0.7, zorder=0)
    # an envelope of the loudest and the quietest sample a bin draws crisper than 8192 points
    low, high = wave.detach().cpu().float()[: n // 16 * 16].reshape(-1, 16).aminmax(dim=1)
    axes.fill_between(torch.arange(8, 16 * len(low), 16).numpy(), low.numpy(), high.numpy(), color=ACCENT, lw=0.6)
    axes.set(xlim=(0, n), ylim=(-1, 1))


def _mel(axes: Axes, wave: Tensor) -> None:
    mel = torchaudio.transforms.MelSpectrogram(RATE, n_fft=512, win_length=256, hop_length=128, n_mels=40)
    decibel = 10 * mel(wave.detach().cpu().float()).clamp(min=1e-5).log10()
    axes.imshow(decibel.numpy(), origin="lower", aspect="auto", cmap="magma", vmin=-35, vmax=25)


DRAW: dict[str, Callable[..., None]] = {"text": _text, "image": _image, "audio": _audio, "video": _video}
