"""Small pictures for the diagrams: a drawn seven as pixels or as a stroke, noise, and a voice."""

import math
import random
from itertools import groupby

from docs.diagrams.svg import Drawing

LEVELS = 12  # shades above black
SEVEN = [(0.27, 0.24), (0.5, 0.22), (0.74, 0.2), (0.66, 0.38), (0.56, 0.56), (0.49, 0.7), (0.44, 0.84)]
LIGHT = (0.35, 0.95, 0.45)  # the digit's colour, green
BARS = (0.12, 0.3, 0.62, 0.95, 0.7, 0.85, 0.45, 0.6, 0.28, 0.14)  # a voice


def distance(x: float, y: float) -> float:
    """From (x, y) to the strokes of the seven."""
    best = math.inf
    for (a, b), (c, d) in zip(SEVEN, SEVEN[1:], strict=False):
        share = ((x - a) * (c - a) + (y - b) * (d - b)) / ((c - a) ** 2 + (d - b) ** 2)
        share = min(1.0, max(0.0, share))
        best = min(best, math.hypot(x - a - share * (c - a), y - b - share * (d - b)))
    return best


def seven(n: int, width: float = 0.055, edge: float = 0.035) -> list[float]:
    """Ink in [0, 1] of n × n pixels, row by row."""
    middles = [(i + 0.5) / n for i in range(n)]
    return [min(1.0, max(0.0, (width - distance(x, y)) / edge + 0.5)) for y in middles for x in middles]


def noise(n: int, seed: int) -> list[float]:
    """n normal numbers (Box and Muller), the same with every version of Python."""
    rng = random.Random(seed)
    pairs = [(1 - rng.random(), rng.random()) for _ in range(n)]
    return [math.sqrt(-2 * math.log(u)) * math.cos(2 * math.pi * v) for u, v in pairs]


def pixels(drawing: Drawing, x: float, y: float, side: float, values: list[float], colour=(1, 1, 1)) -> None:
    """A square picture of values in [0, 1], from black to a colour, with a thin frame.

    Pixels of one level are one path: pages may refuse pictures inside of pictures.
    """
    n = math.isqrt(len(values))
    levels = [round(LEVELS * min(1.0, max(0.0, value))) for value in values]
    runs: dict[int, str] = {}
    for row in range(n):
        for level, run in groupby(range(n), key=lambda column, row=row: levels[row * n + column]):
            columns = list(run)
            runs[level] = runs.get(level, "") + f"M{columns[0]} {row}h{len(columns)}"
    paths = []
    for level in sorted(runs.keys() - {0}):
        shade = "".join(f"{round(255 * c * level / LEVELS):02x}" for c in colour)
        paths.append(f'<path stroke="#{shade}" d="{runs[level]}"/>')
    drawing.add("rect", "line-frozen", x=x, y=y, width=side, height=side, style="fill:#000", stroke_width=1.5)
    place = f"translate({x:.1f} {y + side / n / 2:.2f}) scale({side / n:.4f})"
    drawing.add("g", "pixels", "".join(paths), transform=place, shape_rendering="crispEdges")


def glyph(drawing: Drawing, x: float, y: float, side: float, shift: float = 0) -> None:
    """A green seven on black, as images of this world are; `shift` moves it to the right, as a share of the side."""
    drawing.add("rect", "line-frozen", x=x, y=y, width=side, height=side, rx=4, style="fill:#0b0d10")
    d = "M" + " L".join(f"{x + (a + shift) * side:.1f} {y + b * side:.1f}" for a, b in SEVEN)
    style = "fill:none;stroke:#59f373;stroke-linecap:round;stroke-linejoin:round"
    drawing.add("path", "glyph", d=d, style=style, stroke_width=side * 0.1)


def film(drawing: Drawing, x: float, y: float, side: float, frames: int = 3) -> None:
    """Frames of a clip in a row, in which the seven moves to the right."""
    for i in range(frames):
        glyph(drawing, x + i * (side + 3), y, side, 0.13 * (i - (frames - 1) / 2))


def wave(drawing: Drawing, x: float, y: float, w: float, h: float, colour: str = "audio") -> None:
    """A voice as bars around the line y."""
    step = w / len(BARS)
    for i, bar in enumerate(BARS):
        box = {"x": x + i * step + step * 0.2, "y": y - bar * h / 2, "width": step * 0.6, "height": bar * h}
        drawing.add("rect", f"solid-{colour}", rx=step * 0.3, **box)
