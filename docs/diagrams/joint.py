"""The whole system, and three ways in which a sound and a clip can see each other."""

from docs.diagrams.pictures import film, glyph, wave
from docs.diagrams.svg import Drawing

NAMES = ("text", "image", "audio", "video")
STAGES = (
    (102, "prompts,\nany of the four"),
    (178, "prompt\nencoders"),
    (242, "weighted\nmean"),
    (308, "four streams\nfrom noise to $z_0$,\nat the same $t$"),
    (384, "$V_m$: each sees\nall others"),
    (465, "decoders"),
    (524, "outputs,\nany of the four"),
)


def system() -> Drawing:
    """Prompts of any modalities → one condition → streams that are denoised together → outputs."""
    d = Drawing(
        "Any prompts in, any outputs out, made together",
        "A text, something green, and a voice that says seven are prompts; image and video are not given. Prompt "
        "encoders turn each into a vector, and the weighted mean is one condition C. Four streams are denoised "
        "together and see each other. Decoders turn them into a text, an image, a sound and a clip of a green seven.",
        height=584,
    )
    middles = dict(zip(NAMES, (214, 328, 442, 556), strict=True))
    d.add("rect", "pale-muted", x=158, y=284, width=458, height=126, rx=12)
    for y, label in STAGES:
        d.text(24, y, label, 14, "start", "muted")
    for name, x in middles.items():
        given = name in ("text", "audio")
        d.text(x, 72, name, 15, bold=True)
        d.box(x - 50, 82, 100, 58, name if given else "frozen", "" if given else "not given", 14, dashed=not given)
        d.box(x - 36, 164, 72, 34, name if given else "frozen", f"$C_{{{name}}}$", 17, dashed=not given)
        if given:
            d.line((x, 141), (x, 162))
            d.line((x, 199), (x, 224))
    d.text(214, 107, "“something\ngreen”", 15)
    wave(d, 414, 104, 56, 30)
    d.text(442, 134, "“seven”", 14)
    d.box(164, 226, 442, 36, "cond", "one condition  $C = Σ_i w_i C_i$", 17)
    d.box(164, 381, 442, 14, "trained", r=7)
    for name, x in middles.items():
        d.line((x, 263), (x, 298))
        d.box(x - 36, 300, 72, 48, name, f"$ε_{{{name}}}$", 18)
        d.line((x - 22, 350), (x - 22, 379), colour="trained", heads=2)
        d.line((x, 349), (x, 441))
        d.box(x - 36, 443, 72, 34, name, f"$D_{{{name}}}$", 17)
        d.line((x, 478), (x, 499))
        d.box(x - 50, 501, 100, 58, name)
    d.text(214, 526, "“a green\nseven”", 15)
    glyph(d, 306, 508, 44)
    wave(d, 410, 530, 64, 42)
    film(d, 511, 516, 28)
    return d


def wirings() -> Drawing:
    """Others, own, off."""
    d = Drawing(
        "Only “others” lets streams see each other",
        "Three ways to wire a sound and a clip that are generated together. Others: each sees the tokens of the "
        "other, as the paper says. Own: each sees its own tokens alone, as in the paper's public code, and nothing "
        "passes between them. Off: neither sees any tokens.",
        height=362,
    )
    panels = {
        "others": "the paper's text:\nthey can agree",
        "own": "its public code:\nnothing passes",
        "off": "each by itself:\nnothing passes",
    }
    loop = {"curve": True, "width": 3}
    for i, (name, what) in enumerate(panels.items()):
        x = 24 + i * 204
        d.add("rect", "pale-muted", x=x, y=58, width=184, height=226, rx=12)
        d.text(x + 92, 86, f"“{name}”", 17, bold=True)
        d.box(x + 44, 100, 96, 64, "audio")
        wave(d, x + 60, 122, 64, 32)
        d.text(x + 92, 156, "sound", 14)
        d.box(x + 44, 206, 96, 64, "video")
        film(d, x + 52, 213, 25)
        d.text(x + 92, 261, "clip", 14)
        d.text(x + 92, 312, what, 15, colour="muted")
        if name == "others":
            d.line((x + 74, 165), (x + 74, 204), colour="audio", width=3)
            d.line((x + 110, 205), (x + 110, 166), colour="video", width=3)
        if name == "own":
            for y, colour in ((132, "audio"), (238, "video")):
                far = x + 182
                d.line((x + 141, y - 12), (far, y - 32), (far, y + 32), (x + 142, y + 12), **loop, colour=colour)
    return d
