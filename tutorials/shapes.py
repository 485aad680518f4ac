"""Pairs of a small world of shapes and tones, to train on: `python tutorials/shapes.py FOLDER [N]` writes N items.

A third of the items are pictures with captions, a third sounds with captions, and a third pictures with their sounds. A
picture shows a shape in a size, a colour and a place. A sound has a timbre, a pitch and an envelope. Each shape has a
timbre of its own, and small things are high.
"""

import random
import sys
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image, ImageDraw

COLOURS = {"red": (230, 60, 50), "green": (60, 190, 80), "blue": (70, 110, 240), "yellow": (240, 210, 60)}
PLACES = {"on the left": (-7, 0), "on the right": (7, 0), "at the top": (0, -7), "at the bottom": (0, 7), "": (0, 0)}
CORNERS = {"triangle": 3, "square": 4, "hexagon": 6}
WAVES = {
    "circle": ("smooth", lambda p: np.sin(2 * np.pi * p)),
    "triangle": ("sharp", lambda p: 2 * (p % 1) - 1),
    "square": ("hollow", lambda p: np.where(p % 1 < 0.5, 1.0, -1.0)),
    "hexagon": ("rough", lambda p: np.sin(2 * np.pi * p) * np.sign(np.sin(16 * np.pi * p))),
}
PITCHES = {"small": ("high", 700), "large": ("low", 220)}
ENVELOPES = {
    "fades": lambda t: np.exp(-4 * t),
    "swells": lambda t: t**1.5,
    "pulses": lambda t: np.sin(8 * np.pi * t) ** 2,
}


def picture(shape: str, size: str, colour: str, place: str, rng: random.Random) -> Image.Image:
    """A shape on a dark ground, 128 pixels wide; where it is, how large and how it is turned vary a little."""
    image = Image.new("RGB", (128, 128), (20, 20, 30))
    x, y = (64 + 4 * (c + rng.uniform(-1.5, 1.5)) for c in PLACES[place])
    r = (20 if size == "small" else 40) * rng.uniform(0.9, 1.1)
    pen = ImageDraw.Draw(image)
    if shape == "circle":
        pen.ellipse((x - r, y - r, x + r, y + r), fill=COLOURS[colour])
    else:
        pen.regular_polygon((x, y, r), CORNERS[shape], rng.uniform(-12, 12), fill=COLOURS[colour])
    return image


def sound(shape: str, size: str, envelope: str, rng: random.Random) -> np.ndarray:
    """8192 samples at 8 kHz in [-1, 1]; the pitch varies a little."""
    t = np.arange(8192) / 8000
    wave = WAVES[shape][1](PITCHES[size][1] * rng.uniform(0.92, 1.08) * t) * ENVELOPES[envelope](t)
    return 0.5 * wave + 0.005 * np.random.default_rng(rng.getrandbits(32)).standard_normal(len(t))


def write(folder: str | Path, n: int, seed: int = 0) -> None:
    """n items, each two files of one name."""
    rng, folder = random.Random(seed), Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(n):
        shape, size = rng.choice(list(WAVES)), rng.choice(list(PITCHES))
        colour, place, envelope = rng.choice(list(COLOURS)), rng.choice(list(PLACES)), rng.choice(list(ENVELOPES))
        seen = f"a {size} {colour} {shape} {place}".strip()
        heard = f"a {PITCHES[size][0]} {WAVES[shape][0]} tone that {envelope}"
        parts = ({"text", "image"}, {"text", "audio"}, {"image", "audio"})[i % 3]
        stem = folder / f"{i:05d}"
        if "image" in parts:
            picture(shape, size, colour, place, rng).save(stem.with_suffix(".png"))
        if "audio" in parts:
            soundfile.write(stem.with_suffix(".wav"), sound(shape, size, envelope, rng), 8000)
        if "text" in parts:
            stem.with_suffix(".txt").write_text((seen if "image" in parts else heard) + "\n")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: python tutorials/shapes.py FOLDER [N]")
    write(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 9000)
