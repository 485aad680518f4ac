"""The autoencoders of sound and of text: by way of a spectrogram, and word by word."""

import math

from docs.diagrams.pictures import noise, pixels, wave
from docs.diagrams.svg import Drawing

GLOW = (1.0, 0.62, 0.38)  # loud
FORMANTS = ((0.12, 0.06, 1.0), (0.36, 0.16, 0.85), (0.66, -0.14, 0.6))  # a band's height, its rise, how loud it is
CAPTION = ("a", "red", "seven", "grows")


def spectrogram(n: int, width: float) -> list[float]:
    """A voice as n × n pixels, high frequencies on top, of bands that wide."""
    values = []
    for row in range(n):
        height = 1 - (row + 0.5) / n
        for column in range(n):
            time = (column + 0.5) / n
            envelope = 1 / (1 + math.exp(-(time - 0.27) * 34)) / (1 + math.exp((time - 0.8) * 22))
            bands = (a * math.exp(-(((height - y - rise * time) / width) ** 2)) for y, rise, a in FORMANTS)
            values.append(envelope * min(1.0, 0.16 + sum(bands)))
    return values


def trapezoid(d: Drawing, colour: str, x: float, y: float, w: float, left: float, right: float, label: str) -> None:
    """An encoder or a decoder, (x, y) the middle of its left side; it is that high at its left and its right."""
    corners = [(x, y - left / 2), (x + w, y - right / 2), (x + w, y + right / 2), (x, y + left / 2)]
    d.add("path", f"tint-{colour}", d="M" + " L".join(f"{a} {b}" for a, b in corners) + " Z", stroke_width=2)
    d.text(x + w / 2, y + 7, label, 20)


def sound() -> Drawing:
    """There above, back below: wave, spectrogram, latent, spectrogram, wave."""
    d = Drawing(
        "Sound becomes a picture, then a latent, and sound again",
        "Above, a wave of 8192 samples becomes a mel spectrogram of 64 by 64, and the phase is dropped. The encoder E "
        "makes of it a latent z of 512 numbers. Below, the decoder D makes a spectrogram like the first, and a "
        "vocoder guesses a phase and makes a wave of it.",
        height=386,
    )
    there, back = 122, 288
    for y, width in ((there, 0.055), (back, 0.075)):
        wave(d, 24, y, 88, 66)
        d.text(68, y + 58, "8192 samples", 14, colour="muted")
        pixels(d, 262, y - 42, 84, spectrogram(28, width), GLOW)
    d.text(304, there + 62, "64 × 64", 14, colour="muted")
    d.text(304, back + 62, "64 × 64", 14, colour="muted")
    d.line((116, there), (138, there))
    d.box(140, there - 24, 92, 48, "muted", "STFT, mel", 15)
    d.line((233, there), (259, there))
    d.line((348, there), (374, there))
    trapezoid(d, "audio", 376, there, 60, 84, 48, "$E$")
    d.line((437, there), (540, there), (540, 168))
    d.box(506, 171, 68, 68, "audio", "$z$", 22)
    d.text(496, 200, "8 × 8 × 8", 14, "end", "muted")
    d.text(496, 219, "512 numbers", 14, "end", "muted")
    d.line((540, 240), (540, back), (439, back))
    trapezoid(d, "audio", 376, back, 60, 84, 48, "$D$")
    d.line((375, back), (349, back))
    d.line((261, back), (235, back))
    d.box(140, back - 24, 92, 48, "muted", "vocoder", 15)
    d.line((139, back), (115, back))
    d.line((186, there + 26), (186, there + 52), colour="muted", dashed=True)
    d.text(186, there + 70, "phase: dropped", 14, colour="muted")
    d.text(186, back - 64, "phase: guessed", 14, colour="muted")
    d.line((186, back - 56), (186, back - 27), colour="muted", dashed=True)
    d.line((304, there + 70), (304, back - 45), colour="trained", dashed=True, heads=2)
    d.text(314, 222, "alike", 15, "start", "trained")
    return d


def captions() -> Drawing:
    """Words and queries in, a latent between, words out."""
    d = Drawing(
        "A caption becomes a latent, and is written word by word",
        "Left, the words of a caption and eight learned queries enter a transformer, the encoder. What it makes of "
        "the queries is the latent z, eight positions of eight channels. Right, the decoder, a transformer too, looks "
        "at z and at the words so far, some of which are hidden in training, and writes the next word.",
        height=372,
    )
    y = 176
    d.text(132, 78, "encoder", 16, bold=True)
    d.text(508, 78, "decoder", 16, bold=True)
    d.box(24, y, 216, 56, "text", "transformer", 16)
    d.box(400, y, 216, 56, "text", "transformer", 16)
    for k, word in enumerate(CAPTION):
        x = 24 + 55 * k
        d.box(x, 286, 51, 32, "text", word, 14, r=6)
        d.line((x + 25, 285), (x + 25, y + 58), width=1.5)
    d.text(132, 344, "the caption", 14, colour="muted")
    for k in range(8):
        x = 24 + 27.4 * k
        d.box(x, 110, 22, 24, "trained", r=5)
        d.line((x + 11, 135), (x + 11, y - 2), width=1.5)
    d.text(132, 101, "8 learned queries", 14, colour="muted")
    d.line((241, y + 28), (275, y + 28))
    cells, side = noise(64, seed=3), 10.5
    for k, value in enumerate(cells):
        place = {"x": 278 + side * (k % 8), "y": y - 14 + side * (k // 8), "width": side, "height": side}
        d.add("rect", "solid-text", opacity=f"{min(1.0, 0.12 + 0.36 * abs(value)):.2f}", **place)
    d.text(320, y - 26, "$z = μ + σ ε$", 16)
    d.text(320, y + 94, "8 positions\nof 8 channels", 14, colour="muted")
    d.line((364, y + 28), (398, y + 28))
    for k, word in enumerate(CAPTION):
        x = 400 + 55 * k
        d.box(x, 106, 51, 32, "text", word, 14, r=6)
        d.line((x + 25, y - 1), (x + 25, 140), width=1.5)
        before = ("begin", *CAPTION)[k]
        if k == 2:
            d.box(x, 286, 51, 32, "frozen", "?", 15, r=6, dashed=True)
        else:
            d.box(x, 286, 51, 32, "muted", before, 14, r=6)
        d.line((x + 25, 285), (x + 25, y + 58), width=1.5)
    d.text(508, 97, "the next word, one by one", 14, colour="muted")
    d.text(508, 344, "the words so far, some hidden", 14, colour="muted")
    return d
