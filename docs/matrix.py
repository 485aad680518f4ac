"""The moving picture of the README: from each modality to each, and three ways without a prompt.

`python docs/matrix.py --data DATA` writes docs/matrix.webp with the checkpoint that ships, and for the site the sounds
in it (docs/_static/matrix) and the buttons that play them (docs/matrix.html). Nothing is selected by eye. A row shows
one scene of the test split, of `SCENES` the one with the median confidence of the judges, as a mean over its four
outputs. Below, without a prompt, all three ways have the first seed.
"""

import argparse
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import soundfile
import torch
from matplotlib.font_manager import FontProperties, findfont
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torchaudio.functional import resample

from codi_minimal import CoDi
from codi_minimal.data import load
from codi_minimal.data.voices import RATE
from codi_minimal.data.world import World
from codi_minimal.evaluation.readers import read, shipped_judges
from codi_minimal.recipes import CASCADE
from codi_minimal.spectrogram import MelSpectrogram

OUT = Path(__file__).with_name("matrix.webp")
SOUNDS = Path(__file__).parent / "_static" / "matrix"
NAMES = ("text", "image", "audio", "video")
APART = ({"image", "audio"}, {"image", "video"})  # pairs that no step of training has seen
WAYS: dict[str, dict[str, Any]] = {
    "made together": {},
    "one after another": {"recipe": CASCADE},
    "each by itself": {"joint": False},
}
SCENES, SEED, FRAMES, MILLISECONDS = 15, 0, 8, 125
CELL, GAP, LEFT, TOP, BETWEEN = 128, 14, 150, 58, 74  # pixels
STEP = CELL + GAP
WIDTH, HEIGHT = LEFT + 5 * STEP + 30, TOP + (len(NAMES) + len(WAYS)) * STEP + BETWEEN
SOUND_RATE = 24_000  # of the MP3 files: players need not know 8 kHz
INK, GREY, FRAME, EMPTY = "#1c2330", "#6b7280", "#d55e00", "#f3f4f6"


def font(size: int, **how: str) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(findfont(FontProperties(family="DejaVu Sans", **how)), size)


def confidence(name: str, made: Any, digit: Tensor) -> Tensor:
    """The judges' probability of the prompt's digit in each output (n,); of a caption 1 or 0."""
    if name == "text":
        return (read(name, made)["digit"] == digit).float()
    logits = shipped_judges().look(name, made)[0]
    return logits.softmax(dim=-1)[torch.arange(len(digit)), digit]


def rows_of(model: CoDi, data: str | None) -> list[tuple[str, Any, dict[str, Any]]]:
    """For each modality a prompt of it, and the output of each modality that it becomes."""
    test = load(data, split="test")
    scene, renders = World(test).sample(SCENES, torch.Generator().manual_seed(SEED))
    rows = []
    for name in NAMES:
        made = {to: model.generate({name: renders[name]}, (to,), seed=SEED)[to] for to in NAMES}
        sure = torch.stack([confidence(to, x, scene.digit) for to, x in made.items()]).mean(dim=0)
        chosen = int(sure.argsort()[SCENES // 2])
        rows.append((name, renders[name][chosen], {to: x[chosen] for to, x in made.items()}))
    return rows


def of_text(caption: str, frame: int) -> Image.Image:
    cell, lines = Image.new("RGB", (CELL, CELL), EMPTY), textwrap.fill(f"“{caption}”", 15)
    ImageDraw.Draw(cell).multiline_text(
        (CELL / 2, CELL / 2), lines, INK, font(15, style="italic"), anchor="mm", align="center", spacing=5
    )
    return cell


def of_image(image: Tensor, frame: int) -> Image.Image:
    array = (image.detach().cpu().clamp(0, 1).permute(1, 2, 0).numpy() * 255).astype(np.uint8)
    return Image.fromarray(array).resize((CELL, CELL), Image.Resampling.NEAREST)


def of_audio(wave: Tensor, frame: int) -> Image.Image:
    """A spectrogram, with a bar at the moment of the clips beside it."""
    level = MelSpectrogram(2, "htk", None)(wave[None].cpu())[0].clamp(min=1e-5).log10().flip(0)
    shown = matplotlib.colormaps["magma"](((level + 4) / 6).clamp(0, 1).numpy())[..., :3]
    cell = Image.fromarray((255 * shown).astype(np.uint8)).resize((CELL, CELL), Image.Resampling.BILINEAR)
    x = (frame + 0.5) * CELL / FRAMES
    ImageDraw.Draw(cell).line((x, 0, x, CELL), "#ffffff", 2)
    return cell


def of_video(video: Tensor, frame: int) -> Image.Image:
    return of_image(video[frame], frame)


PIXELS = {"text": of_text, "image": of_image, "audio": of_audio, "video": of_video}  # a square at one of the moments


def x_of(column: int) -> int:
    return LEFT + column * STEP + (26 if column else 0)  # the prompt stands apart


def y_of(row: int) -> int:
    return TOP + row * STEP + (BETWEEN if row >= len(NAMES) else 0)


def page(
    rows: Sequence[tuple[str, Any, Mapping[str, Any]]], ways: Mapping[str, Mapping[str, Any]], frame: int
) -> Image:
    """All of it at one of the eight moments."""
    image = Image.new("RGB", (WIDTH, HEIGHT), "white")
    pen = ImageDraw.Draw(image)

    def row(i: int, title: str, cells: Mapping[int, tuple[str, Any]], framed: Sequence[int] = ()) -> None:
        y = y_of(i)
        pen.multiline_text((LEFT - 16, y + CELL / 2), title, INK, font(15, weight="bold"), anchor="rm", align="right")
        for column, (name, item) in cells.items():
            if column in framed:
                pen.rectangle((x_of(column) - 5, y - 5, x_of(column) + CELL + 4, y + CELL + 4), FRAME)
            image.paste(PIXELS[name](item, frame), (x_of(column), y))

    pen.text((x_of(0) + CELL / 2, TOP - 20), "given", GREY, font(15), anchor="mm")
    for i, name in enumerate(NAMES):
        pen.text((x_of(i + 1) + CELL / 2, TOP - 20), f"→ {name}", INK, font(15, weight="bold"), anchor="mm")
    for i, (name, prompt, made) in enumerate(rows):
        framed = [j + 1 for j, to in enumerate(NAMES) if {name, to} in APART]
        row(i, f"from {name}", {0: (name, prompt)} | dict(enumerate(made.items(), 1)), framed)
    y = TOP + len(rows) * STEP + 10
    pen.rectangle((LEFT, y + 2, LEFT + 14, y + 16), "white", FRAME, 4)
    pen.text(
        (LEFT + 24, y + 10), "no training step has seen these two modalities together", GREY, font(15), anchor="lm"
    )
    pen.text((LEFT, y + 44), "without any prompt:", INK, font(15, weight="bold"), anchor="lm")
    for i, (title, made) in enumerate(ways.items(), len(rows)):
        row(i, title.replace(" ", "\n", 1), dict(enumerate(made.items(), 1)))
    return image


def write_sounds(
    rows: Sequence[tuple[str, Any, Mapping[str, Any]]], ways: Mapping[str, Mapping[str, Any]], folder: Path
) -> None:
    """The voices as MP3 files, and matrix.html: a button over each cell with a voice, as shares of the picture.

    A clip without a prompt was made beside a voice: its button plays it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    audio, video = NAMES.index("audio") + 1, NAMES.index("video") + 1
    buttons = []

    def add(row: int, columns: Mapping[int, str], file: str, wave: Tensor) -> None:
        soundfile.write(folder / file, resample(wave.cpu(), RATE, SOUND_RATE).clamp(-1, 1).numpy(), SOUND_RATE)
        for column, label in columns.items():
            shares = (x_of(column) / WIDTH, y_of(row) / HEIGHT, CELL / WIDTH, CELL / HEIGHT)
            where = ";".join(
                f"{side}:{share:.3%}" for side, share in zip(("left", "top", "width", "height"), shares, strict=True)
            )
            buttons.append(
                f'<button type="button" hidden style="{where}" data-sound="../_static/matrix/{file}" '
                f'aria-label="play {label}"></button>'
            )

    for i, (name, prompt, made) in enumerate(rows):
        if name == "audio":
            add(i, {0: "the voice that is given"}, "given.mp3", prompt)
        add(i, {audio: f"the voice made from the {name}"}, f"from-{name}.mp3", made["audio"])
    for i, (title, made) in enumerate(ways.items(), len(rows)):
        columns = {audio: f"the voice of the row “{title}”", video: f"the voice of the clip in the row “{title}”"}
        add(i, columns, f"{title.replace(' ', '-')}.mp3", made["audio"])
    lines = "\n".join((*buttons, '<audio preload="auto"></audio>', '<script src="../_static/matrix.js"></script>\n'))
    OUT.with_suffix(".html").write_text(lines, encoding="utf-8")


def main() -> None:
    """Writes the picture, and the sounds in it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="folder of parquet files")
    model = CoDi.from_pretrained()
    rows = rows_of(model, parser.parse_args().data)
    made = {title: model.generate({}, NAMES, seed=SEED, **how) for title, how in WAYS.items()}
    ways = {title: {name: x[0] for name, x in sample.items()} for title, sample in made.items()}
    first, *rest = (page(rows, ways, frame) for frame in range(FRAMES))
    first.save(OUT, save_all=True, append_images=rest, duration=MILLISECONDS, loop=0, quality=82, method=6)
    write_sounds(rows, ways, SOUNDS)
    print(OUT, OUT.stat().st_size)


if __name__ == "__main__":
    main()
