"""How prompts of all modalities come to lie in one space, and how several of them become one condition."""

import math

from docs.diagrams.pictures import film, glyph, wave
from docs.diagrams.svg import Drawing

COSINE = -0.31  # of a voice and a text that says a colour, as notebook 07 prints it
LOOSE = {"colour": "muted", "dashed": True, "heads": 2, "width": 1.5}


def bridge() -> Drawing:
    """Text is the bridge: who is trained with whom, and when."""
    d = Drawing(
        "Text is the bridge between all modalities",
        "The prompt encoders of text and images are trained together first. Then the one of text is frozen, and those "
        "of audio and video are trained against it. Image and audio, image and video, audio and video are never "
        "trained together, as dashed lines show, and yet come to lie close to each other.",
        height=482,
    )
    nodes = {"image": (96, 238), "text": (316, 238), "audio": (544, 132), "video": (544, 344)}
    for name, (x, y) in nodes.items():
        half = 68 if name == "text" else 54
        d.box(x - 72, y - half, 144, 2 * half, name, r=12)
        d.text(x, y - half + 63, f"$C_{{{name}}}$", 18)
        when = "trained in 1" if name in ("text", "image") else "trained in 2"
        d.box(x - 56, y - half + 77, 112, 22, "trained", when, 14, r=11)
    d.box(260, 276, 112, 22, "frozen", "frozen in 2", 14, r=11)
    glyph(d, 79, 190, 36)
    d.text(316, 205, "“seven”", 17)
    wave(d, 512, 106, 64, 36)
    film(d, 499, 301, 28)
    d.line((170, 238), (242, 238), width=3, heads=2, colour="trained")
    d.line((470, 150), (391, 204), width=3, colour="trained")
    d.line((470, 326), (391, 272), width=3, colour="trained")
    d.badge(206, 218, "1")
    d.badge(418, 158, "2")
    d.badge(418, 318, "2")
    for sign in (-1, 1):
        y = 238 + sign * 56
        d.line((96, y), (96, y + sign * 118), (300, y + sign * 88), (470, 238 + sign * 130), **LOOSE, curve=True)
    d.line((544, 188), (544, 288), **LOOSE)
    d.badge(35, 431, "1")
    d.text(54, 436, "both learn", 15, "start")
    d.badge(173, 431, "2")
    d.text(192, 436, "$C_{text}$ is frozen, the other learns to meet it", 15, "start")
    d.line((24, 459), (66, 459), **LOOSE)
    d.text(76, 464, "never trained together, and close all the same", 15, "start")
    return d


def mixing() -> Drawing:
    """A weighted mean of two unit vectors, and the way back to the circle."""
    d = Drawing(
        "Several prompts are one: their mean, at length 1",
        "Two prompts as arrows to a unit circle, a text that says green and a voice that says seven, 108 degrees "
        "apart. Their weighted mean lies inside the circle, with a length of 0.59. It is scaled back to length 1.",
        height=446,
    )
    x0, y0, radius = 218, 264, 154
    between = math.acos(COSINE)
    voice = math.radians(14)

    def at(angle: float, r: float = 1) -> tuple[float, float]:
        return x0 + r * radius * math.cos(angle), y0 - r * radius * math.sin(angle)

    middle, length = voice + between / 2, math.sqrt((1 + COSINE) / 2)
    text = voice + between
    d.add("circle", "line-frozen", cx=x0, cy=y0, r=radius, stroke_width=2)
    d.line(at(voice), at(text), colour="muted", dashed=True, heads=0, width=1.5)
    d.line((x0, y0), at(text), colour="text", width=3)
    d.line((x0, y0), at(voice), colour="audio", width=3)
    d.line((x0, y0), at(middle, length), colour="cond", width=4)
    d.line(at(middle, length + 0.03), at(middle), colour="cond", width=3, dashed=True)
    d.add("circle", "solid-ink", cx=x0, cy=y0, r=4)
    d.text(x0, y0 + 24, "0: no prompt", 14, colour="muted")
    x, y = at(text)
    d.text(x - 20, y - 34, "“something green”", 15)
    d.text(x - 12, y - 9, "$C_{text}$", 18, "end")
    x, y = at(voice)
    wave(d, x + 12, y - 8, 46, 28)
    d.text(x + 66, y - 3, "“seven”", 15, "start")
    d.text(x + 12, y + 32, "$C_{audio}$", 18, "start")
    x, y = at(middle, length)
    d.text(x - 18, y + 20, "$C$", 20, "end")
    x, y = at(middle)
    d.text(x + 8, y - 10, "$C / ‖C‖$", 18, "start")
    x = 424
    d.badge(x + 11, 101, "1", "muted")
    d.text(x + 30, 106, "weighted mean", 15, "start")
    d.text(x, 138, "$C = Σ_i w_i C_i$", 20, "start")
    d.badge(x + 11, 301, "2", "muted")
    d.text(x + 30, 306, "back to length 1", 15, "start")
    d.text(x, 338, "$C ← C / ‖C‖$", 20, "start")
    d.text(x, 378, "Here the cosine of the\nprompts is −0.31, so that\n$‖C‖ = 0.59$.", 14, "start", "muted")
    return d
