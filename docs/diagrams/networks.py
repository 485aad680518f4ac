"""Inside a denoiser: the U and its blocks, and the attention from one stream to the others."""

from docs.diagrams.pictures import glyph
from docs.diagrams.svg import Drawing

SKIP = {"colour": "muted", "width": 1.5}
INSIDE = (
    ("residual\nblock", "cond", "1"),
    ("self-\nattention", "muted", ""),
    ("attention\nto $C$", "cond", "2"),
    ("attention\nto others", "trained", "3"),
    ("MLP", "muted", ""),
)
X = [282 + 46 * k for k in range(8)]  # middles of the eight moments of a clip and a sound


def sign(d: Drawing, x: float, y: float, label: str, colour: str) -> None:
    """A number for one of the things that a block is told; (x, y) is its middle."""
    d.box(x - 20, y - 9, 40, 18, colour, label, 14, r=4, bold=True)


def block(d: Drawing, x: float, y: float, sees: bool) -> None:
    """A block of the U, 54 × 70, with a sign for each thing that it is told."""
    d.box(x, y, 54, 70, "muted", r=6)
    for k, colour in enumerate(("cond", "cond", "trained")[: 3 if sees else 2]):
        sign(d, x + 27, y + 14 + 21 * k, str(k + 1), colour)


def unet() -> Drawing:
    """Down, middle, up; skips; the two ways of C, and where a block sees other streams."""
    d = Drawing(
        "Every block gets the condition $C$ in two ways",
        "A noisy latent goes down to half the resolution, through the middle, and up again; four skips carry features "
        "across. In every block the condition C enters twice: added to the embedding of the time, and as tokens to "
        "attend to. In the middle and on the way up, blocks also attend to the tokens of other streams. The sizes are "
        "those of images.",
        height=636,
    )
    top, low, deep = 96, 196, 290
    d.text(36, top + 41, "$z_t$", 19)
    d.line((50, top + 35), (64, top + 35))
    d.box(66, top + 14, 44, 42, "muted", "conv", 14, r=6)
    d.line((111, top + 35), (126, top + 35))
    block(d, 128, top, sees=False)
    d.line((148, top + 71), (148, low + 16))
    d.box(133, low + 18, 44, 34, "muted", "½", 16, r=6)
    d.line((178, low + 35), (193, low + 35))
    block(d, 195, low, sees=False)
    d.line((222, low + 71), (222, deep + 35), (275, deep + 35))
    block(d, 277, deep, sees=True)
    d.line((332, deep + 35), (386, deep + 35), (386, low + 72))
    block(d, 359, low, sees=True)
    d.line((414, low + 35), (425, low + 35), width=1.5)
    block(d, 427, low, sees=True)
    d.line((466, low - 1), (466, top + 72))
    d.text(476, low - 9, "× 2", 15, "start")
    block(d, 427, top, sees=True)
    d.line((482, top + 35), (493, top + 35), width=1.5)
    block(d, 495, top, sees=True)
    d.line((550, top + 35), (563, top + 35))
    d.box(565, top + 14, 44, 42, "muted", "conv", 14, r=6)
    d.line((587, top + 57), (587, top + 84))
    d.text(587, top + 108, "$v̂$", 19)
    d.line((88, top + 13), (88, top - 18), (522, top - 18), (522, top - 2), **SKIP)
    d.line((183, top + 35), (425, top + 35), **SKIP)
    d.line((166, low + 17), (166, low - 12), (442, low - 12), (442, low - 2), **SKIP)
    d.line((250, low + 35), (357, low + 35), **SKIP)
    d.text(304, top + 26, "skips", 14, colour="muted")
    d.text(304, top + 56, "8 × 8", 14, colour="muted")
    d.text(304, low + 56, "4 × 4", 14, colour="muted")
    d.text(150, deep + 40, "down", 15, colour="muted")
    d.text(460, deep + 40, "up", 15, colour="muted")
    d.text(304, deep + 90, "middle", 15, colour="muted")
    d.text(24, 424, "Inside a block", 17, "start", bold=True)
    for k, (label, colour, number) in enumerate(INSIDE):
        x = 24 + 122 * k
        d.box(x, 440, 104, 74, colour, "" if number else label, 15)
        if number:
            sign(d, x + 52, 456, number, colour)
            d.text(x + 52, 483, label, 15)
        if k:
            d.line((x - 17, 477), (x - 2, 477))
    d.box(24, 554, 104, 56, "cond", "embedding\nof $t$ and $C$", 15)
    d.box(174, 564, 48, 36, "cond", "$C$", 19)
    d.box(268, 554, 104, 56, "cond", "4 tokens\nmade of $C$", 15)
    d.box(390, 554, 104, 56, "trained", "tokens of\nthe others", 15)
    d.line((173, 582), (130, 582))
    d.line((223, 582), (266, 582))
    for x in (76, 320, 442):
        d.line((x, 553), (x, 516))
    d.text(88, 540, "scale, shift", 14, "start", "muted")
    d.text(454, 540, "$V_m(z_t^m)$", 15, "start", "muted")
    d.text(508, 580, "in the middle\nand up only", 14, "start", "muted")
    return d


def attention() -> Drawing:
    """Tokens of four streams, who sees them, and a frame of a clip that looks at the sound of its own time."""
    d = Drawing(
        "A frame attends to the sound of its own time",
        "Four streams at the same t. First each gives tokens: four summary tokens, which all others see, and for audio "
        "and video eight clock tokens, one for each frame, which only streams with a time axis see. Then all streams "
        "move: of the sound's clock tokens, a frame of the clip attends most to that of its own time.",
        height=480,
    )
    d.badge(35, 73, "1", "muted")
    d.text(54, 78, "First, all streams give tokens $V_m(z_t^m)$, at the same $t$.", 16, "start")
    d.text(163, 114, "4 summary tokens,\nseen by all others", 14, colour="muted")
    d.text(443, 114, "8 clock tokens, one for each frame,\nseen by audio and video alone", 14, colour="muted")
    rows = {"text": 152, "image": 186, "video": 220, "audio": 254}
    for name, y in rows.items():
        d.text(24, y + 18, name, 16, "start", bold=True)
        for k in range(4):
            d.box(110 + 28 * k, y, 22, 24, name, r=5)
        for k in range(8 if name in ("video", "audio") else 0):
            d.box(X[k] - 15, y, 30, 24, name, str(k), 14, r=5)
    d.text(443, 178, "none: text and images have no time,\nand see no clock tokens", 14, colour="muted")
    d.badge(35, 325, "2", "muted")
    d.text(54, 330, "Then all streams move.", 16, "start")
    for k, x in enumerate(X):
        if k != 3:
            d.line((X[3], 374), (x, 280), colour="frozen", width=1, heads=0)
    d.line((X[3], 374), (X[3], 280), colour="audio", width=6)
    for k, x in enumerate(X):
        glyph(d, x - 16, 378, 32, 0.08 * max(k - 3, 0) - 0.12)
    d.add("rect", "line-video", x=X[3] - 19, y=375, width=38, height=38, rx=6, stroke_width=3)
    d.text(24, 390, "the clip's frames,\nin $ε_{video}$", 15, "start", "muted")
    d.text(443, 438, "Of the sound's clock tokens, frame 3\nattends most to number 3.", 15)
    return d
