"""The contact sheet: one page with a row for each sample, its prompts and its outputs.

Video and audio have one time axis, eight frames above 8192 samples, so that one can see whether the voice starts when
the motion does.
"""

import textwrap
import warnings
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
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
# inches
MARGIN, GAP, HEAD, TITLE, ROW = 0.35, 0.3, 0.55, 0.36, 2.2
COLUMNS = {"given": 2.4, "text": 1.9, "image": 2.04, "clock": 6.8}  # widths
LEFTS = dict(zip(COLUMNS, accumulate(COLUMNS.values(), lambda x, width: x + width + GAP, initial=MARGIN), strict=False))
STRIP, WAVE, MEL = 0.83, 0.48, 0.64  # heights in the clock column, from the top
GREY, INK, ACCENT = "#8a8f98", "#1c2330", "#2f5d8a"
HEADS = {"given": "given", "text": "text", "image": "image", "clock": "video and audio, on one clock"}


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

    Raises:
        ValueError: for no rows, or a modality that the sheet cannot draw.
    """
    if not rows:
        raise ValueError("expected at least one row, got none")
    count, rows = count or len(rows), rows[:ROWS]
    for row in rows:
        if unknown := {*row["prompts"], *row["outputs"]} - set(DRAW):
            raise ValueError(f"expected modalities out of {list(DRAW)}, got {sorted(unknown)}")
    width = 2 * MARGIN + sum(COLUMNS.values()) + GAP * (len(COLUMNS) - 1)
    height = HEAD + len(rows) * (TITLE + ROW) + MARGIN
    figure = Figure(figsize=(width, height), dpi=130, facecolor="white")
    FigureCanvasAgg(figure)

    def box(x: float, y: float, w: float, h: float) -> Axes:
        """Axes at x from the left and y from the top, in inches."""
        axes = figure.add_axes((x / width, 1 - (y + h) / height, w / width, h / height))
        axes.axis("off")
        return axes

    for name, head in HEADS.items():
        _label(box(LEFTS[name], 0.2, COLUMNS[name], 0.25), head, color=GREY, size=10)
    for i, row in enumerate(rows):
        top = HEAD + i * (TITLE + ROW)
        box(MARGIN, top, width - 2 * MARGIN, 0.02).axhline(0.5, color="#d5d9de", lw=0.8)
        _label(box(MARGIN, top + 0.06, width - 2 * MARGIN, 0.24), row["title"], weight="bold", size=11)
        _row(box, top + TITLE, row)
    if count > len(rows):
        _label(box(MARGIN, height - 0.3, width, 0.25), f"the first {len(rows)} of {count} samples", color=GREY, size=10)
    return figure


def _row(box: Callable[..., Axes], top: float, row: Mapping[str, Any]) -> None:
    given = [(name, item) for name, items in row["prompts"].items() for item in items]
    cell = (ROW - 0.2) / min(max(len(given), 1), GIVEN)
    drawn = given if len(given) <= GIVEN else given[: GIVEN - 1]
    for i, (name, item) in enumerate(drawn):
        h = min(cell - 0.1, GIVEN_HEIGHT[name])
        DRAW[name](box(LEFTS["given"], top + i * cell, COLUMNS["given"], h), item, anchor="W")
    if len(drawn) < len(given) or not given:
        rest = f"and {len(given) - len(drawn)} more" if given else "nothing"
        _label(box(LEFTS["given"], top + len(drawn) * cell, COLUMNS["given"], 0.3), rest, color=GREY, style="italic")
    outputs, x, w = row["outputs"], LEFTS["clock"], COLUMNS["clock"]
    places = {
        "text": (LEFTS["text"], top, COLUMNS["text"], ROW),
        "image": (LEFTS["image"], top, COLUMNS["image"], COLUMNS["image"]),
        "video": (x, top, w, STRIP),
        "audio": (x, top + STRIP + 0.04, w, WAVE),
    }
    for name, item in outputs.items():
        DRAW[name](box(*places[name]), item)
    if "audio" in outputs:
        _mel(box(x, top + STRIP + WAVE + 0.08, w, MEL), outputs["audio"])


def _label(axes: Axes, text: str, **style: Any) -> None:
    plain = text.encode("utf-8", "replace").decode("utf-8")  # fonts have no lone surrogates, which are broken bytes
    style = {"color": INK, "size": 11} | style
    # parse_math: a dollar sign does not start a formula
    axes.text(0, 1, plain, va="top", ha="left", transform=axes.transAxes, parse_math=False, **style)


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
    for frame in range(1, FRAMES):
        axes.axvline(frame * n / FRAMES, color="#e3e6ea", lw=0.7, zorder=0)
    # an envelope of the loudest and the quietest sample a bin draws crisper than 8192 points
    bins = wave.detach().cpu()[: n // 16 * 16].reshape(-1, 16)
    at = torch.arange(len(bins)) * 16 + 8
    low, high = (bound.float().numpy() for bound in (bins.amin(1), bins.amax(1)))
    axes.fill_between(at.numpy(), low, high, color=ACCENT, lw=0.6)
    axes.set(xlim=(0, n), ylim=(-1, 1))


def _mel(axes: Axes, wave: Tensor) -> None:
    mel = torchaudio.transforms.MelSpectrogram(RATE, n_fft=512, win_length=256, hop_length=128, n_mels=40)
    decibel = 10 * mel(wave.detach().cpu().float()).clamp(min=1e-5).log10()
    axes.imshow(decibel.numpy(), origin="lower", aspect="auto", cmap="magma", vmin=-35, vmax=25)


DRAW: dict[str, Callable[..., None]] = {"text": _text, "image": _image, "audio": _audio, "video": _video}
GIVEN_HEIGHT = {"text": 0.7, "image": 1.2, "audio": 0.6, "video": 0.6}
