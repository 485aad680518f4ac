"""How the frames of a clip see each other in its denoiser: the latent shift, and attention over frames."""

from docs.diagrams.pictures import glyph
from docs.diagrams.svg import Drawing

FRAMES, CHUNKS = 8, 8
AT = 5  # the frame that is followed
X = [124 + 42 * f for f in range(FRAMES)]  # left edges of the frames
INSIDE = (
    ("residual\nblock", "muted", ""),
    ("latent\nshift", "video", "1"),
    ("attention\nover frames", "video", "2"),
    ("self-\nattention,\nall frames", "muted", ""),
    ("attention\nto $C$, MLP", "muted", ""),
)


def clips() -> Drawing:
    """The shift as a table of where each channel comes from; one place of all frames; both in a block."""
    d = Drawing(
        "How the frames of a clip see each other",
        "A table of eight frames and eight chunks of channels. After the latent shift, chunk i of a frame comes from i "
        "frames before, and zeros stand where there is no such frame: frame 5 has slices of the frames 5, 4, 3, 2, 1 "
        "and 0. Below, eight frames of a moving seven: one place in frame 5 attends to the same place in all frames. "
        "Both stand in every block of the U-Net, after the residual block and before self-attention.",
        height=668,
    )
    d.badge(35, 73, "1", "video")
    d.text(54, 78, "The latent shift: chunk $i$ of the channels comes from $i$ frames before.", 16, "start")
    top, high = 122, 25
    d.text(24, 112, "frame", 14, "start", "muted")
    for f, x in enumerate(X):
        d.text(x + 19, 112, str(f), 14, colour="muted")
    for i in range(CHUNKS):
        y = top + i * high
        d.text(24, y + 16, f"chunk {i}", 14, "start", "muted")
        for f, x in enumerate(X):
            colour = "frozen" if f < i else "trained" if f == AT else "video"
            d.box(x, y, 38, high - 4, colour, str(f - i) if f >= i else "", 14, r=4, bold=f == AT)
    bottom = top + CHUNKS * high
    d.text(478, 150, "A number: the\nframe that these\nchannels are from.", 14, "start")
    d.text(478, 226, f"Frame {AT} has slices\nof itself and of the\n{AT} frames before it.", 14, "start", "trained")
    d.text(478, 302, "Grey: zeros.", 14, "start", "muted")

    d.badge(35, bottom + 41, "2", "video")
    d.text(54, bottom + 46, "Attention over frames: a place attends to itself in all frames.", 16, "start")
    y, (px, py) = bottom + 118, (24, 16)
    for f, x in enumerate(X):
        glyph(d, x, y, 38, 0.07 * max(f - 2, 0) - 0.16)
    for f, x in enumerate(X):
        d.add("rect", "line-video", x=x + px - 4, y=y + py - 4, width=9, height=9, stroke_width=2)
        if f != AT:
            start, end = (X[AT] + px, y - 3), (x + px, y - 3)
            lift = 20 + 5 * abs(f - AT)
            d.line(start, (start[0], y - lift), (end[0], y - lift), end, colour="video", width=1.5, curve=True)
    d.add("rect", "line-trained", x=X[AT] - 3, y=y - 3, width=44, height=44, rx=6, stroke_width=3)
    d.text(478, y + 2, "Each place alone:\na sequence of\n8 vectors.", 14, "start")

    d.text(24, y + 92, "Inside a block of the video denoiser", 17, "start", bold=True)
    for k, (label, colour, number) in enumerate(INSIDE):
        x = 24 + 122 * k
        d.box(x, y + 108, 104, 74, colour, "" if number else label, 14)
        if number:
            d.badge(x + 52, y + 124, number, "video")
            d.text(x + 52, y + 154, label, 14)
        if k:
            d.line((x - 17, y + 145), (x - 2, y + 145))
    d.text(
        24,
        y + 206,
        "1 and 2 end in layers that start at zero. Self-attention over all frames is ours.",
        14,
        "start",
        "muted",
    )
    return d
