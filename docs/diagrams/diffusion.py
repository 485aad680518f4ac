"""Noise and its removal, the rotation behind it, and the autoencoder in whose latents it takes place."""

import math

from docs.diagrams.pictures import LIGHT, noise, pixels, seven
from docs.diagrams.svg import Drawing

T = 1000


def signal(t: int) -> float:
    """√ᾱ_t of the cosine schedule, without the cap on its last β."""
    start, now = (math.cos((u / T + 0.008) / 1.008 * math.pi / 2) for u in (0, t + 1))
    return max(now / start, 0.0)


def diffusion() -> Drawing:
    """Six steps of noise on a real picture, and back."""
    d = Drawing(
        "A formula adds noise, a network takes it away",
        "A drawn seven in seven pictures, with more and more noise from left to right. Adding noise needs no learning; "
        "a network takes it away again, from right to left. Bars show how much of the picture and how much noise is "
        "in each: the root of alpha bar, and the root of one minus alpha bar.",
        height=424,
    )
    z0, eps = [2 * ink - 1 for ink in seven(24)], noise(24**2, seed=7)
    side, step, top, floor = 74, 86.3, 104, 326
    d.text(320, 76, "add noise, $q$: nothing to learn", 15)
    d.line((24, 88), (616, 88))
    for i in range(7):
        t = round(i * T / 6) - 1
        a = signal(t) if i else 1.0
        b = math.sqrt(1 - a * a)
        x = 24 + i * step
        pixels(d, x, top, side, [(a * z + b * e + 1) / 2 for z, e in zip(z0, eps, strict=True)])
        d.text(x + side / 2, 250, f"$t = {t}$" if i else "$z_0$", 14, colour="muted")
        for k, (share, colour) in enumerate(((a, "ink"), (b, "frozen"))):
            if share > 0:
                place = {"x": x + 15 + 24 * k, "y": floor - 60 * share, "width": 20, "height": 60 * share}
                d.add("rect", f"solid-{colour}", **place)
        d.line((x + 8, floor), (x + side - 8, floor), colour="muted", width=1.5, heads=0)
    d.line((616, 194), (24, 194), colour="trained")
    d.text(320, 217, "remove noise, $ε_θ$: a trained network, step by step", 15, colour="trained")
    d.text(320, 370, "$z_t = √ᾱ_t z_0 + √(1 − ᾱ_t) ε$", 20)
    signal_and_noise = (130, "ink", "$√ᾱ_t$ of the picture $z_0$"), (350, "frozen", "$√(1 − ᾱ_t)$ of the noise $ε$")
    for x, colour, label in signal_and_noise:
        d.add("rect", f"solid-{colour}", x=x, y=390, width=13, height=13)
        d.text(x + 21, 402, label, 14, "start", colour="muted")
    return d


def rotation() -> Drawing:
    """z_0 and ε as axes: noising turns z_t from one to the other."""
    d = Drawing(
        "Adding noise is a rotation",
        "The picture and the noise are two axes at a right angle. The noisy latent lies on the quarter circle between "
        "them, at an angle phi whose cosine is the root of alpha bar. The velocity v is the tangent, at a right angle "
        "to the latent, in the direction of more noise.",
        height=452,
    )
    x0, y0, radius, phi = 124, 362, 212, math.radians(32)
    c, s = math.cos(phi), math.sin(phi)

    def at(along: float, up: float) -> tuple[float, float]:
        return x0 + radius * along, y0 - radius * up

    (zx, zy), (vx, vy) = at(c, s), at(c - s, s + c)
    arc = f"M{x0 + radius} {y0} A{radius} {radius} 0 0 0 {x0} {y0 - radius}"
    d.add("path", "line-frozen", d=arc, stroke_width=2)
    d.line((zx, y0), (zx, zy), colour="muted", dashed=True, heads=0, width=1.5)
    d.line((x0, zy), (zx, zy), colour="muted", dashed=True, heads=0, width=1.5)
    d.line((x0, y0), at(1.12, 0), colour="muted")
    d.line((x0, y0), at(0, 1.12), colour="muted")
    corner = [(zx - 18 * c, zy + 18 * s), (zx - 18 * (c + s), zy - 18 * (c - s)), (zx - 18 * s, zy - 18 * c)]
    d.line(*corner, colour="muted", width=1.5, heads=0)
    d.line((zx, zy), (vx, vy), colour="trained", width=3)
    d.line((x0, y0), (zx, zy), width=3)
    small = f"M{x0 + 62} {y0} A62 62 0 0 0 {x0 + 62 * c:.1f} {y0 - 62 * s:.1f}"
    d.add("path", "line-ink", d=small, stroke_width=1.5)
    d.text(x0 + 78, y0 - 15, "$φ$", 18)
    d.text(x0 + radius + 36, y0 + 2, "$z_0$", 20, "start")
    d.text(x0 + radius + 36, y0 + 25, "picture", 14, "start", "muted")
    d.text(x0 - 14, y0 - radius - 28, "$ε$", 20, "end")
    d.text(x0 - 14, y0 - radius - 8, "noise", 14, "end", "muted")
    d.text(zx + 12, zy + 4, "$z_t$", 20, "start")
    d.text(vx + 16, vy + 8, "$v$", 20, "start", "trained")
    d.text((x0 + zx) / 2, y0 + 26, "$√ᾱ_t$", 16, colour="muted")
    d.text(x0 - 12, zy + 5, "$√(1 − ᾱ_t)$", 16, "end", "muted")
    for y, label, size, colour in (
        (112, "$cos φ = √ᾱ_t$", 18, "ink"),
        (138, "$sin φ = √(1 − ᾱ_t)$", 18, "ink"),
        (184, "$z_t = cos φ z_0 + sin φ ε$", 18, "ink"),
        (210, "$v = cos φ ε − sin φ z_0$", 18, "trained"),
        (258, "A network predicts $v̂$,\nand with it the picture:", 15, "muted"),
        (308, "$ẑ_0 = cos φ z_t − sin φ v̂$", 18, "ink"),
    ):
        d.text(404, y, label, size, "start", colour)
    d.text(24, 428, "In many dimensions, noise is almost at a right angle to any picture.", 14, "start", "muted")
    return d


def trapezoid(d: Drawing, x: float, y: float, w: float, left: float, right: float, label: str) -> None:
    """An encoder narrows to the right, a decoder widens; y is its middle."""
    corners = [(x, y - left / 2), (x + w, y - right / 2), (x + w, y + right / 2), (x, y + left / 2)]
    d.add("path", "tint-image", d="M" + " L".join(f"{a} {b}" for a, b in corners) + " Z", stroke_width=2)
    d.text(x + w / 2, y + 7, label, 20)


def vae() -> Drawing:
    """Encoder, draw, decoder, and the two terms of the loss."""
    d = Drawing(
        "An image becomes a small latent, and an image again",
        "An image x goes through the encoder E, which gives a mean mu and a deviation sigma. A latent z is drawn, "
        "mu plus sigma times noise, and the decoder D makes of it an image like x. The loss has two terms: the "
        "reconstruction should be x, and the distribution of z should stay near the normal distribution.",
        height=400,
    )
    y = 172
    for x, ink in ((24, seven(32)), (536, seven(32, 0.057, 0.09))):
        pixels(d, x, y - 40, 80, ink, LIGHT)
    d.line((106, y), (131, y))
    trapezoid(d, 134, y, 60, 80, 46, "$E$")
    d.line((195, y), (224, y))
    d.box(227, y - 40, 46, 80, "image")
    d.line((227, y), (273, y), colour="image", heads=0)
    d.text(250, y - 15, "$μ$", 19)
    d.text(250, y + 25, "$σ$", 19)
    d.line((274, y), (327, y))
    d.box(330, y - 28, 56, 56, "image", "$z$", 22)
    d.line((387, y), (427, y))
    trapezoid(d, 430, y, 60, 46, 80, "$D$")
    d.line((491, y), (533, y))
    d.box(303, 258, 110, 34, "frozen", "$ε ∼ N(0, 1)$", 16)
    d.line((358, 257), (358, y + 31))
    d.text(372, 236, "$z = μ + σ ε$", 17, "start")
    d.text(64, y + 64, "$x$", 20)
    d.text(64, y + 86, "3 × 32 × 32", 14, colour="muted")
    d.text(358, y - 40, "4 × 8 × 8", 14, colour="muted")
    d.text(576, y + 64, "$x̂$", 20)
    d.line((64, y - 44), (64, 96), (576, 96), (576, y - 44), colour="trained", dashed=True, heads=2)
    d.badge(198, 76, "1")
    d.text(218, 81, "reconstruction: $x̂$ should be $x$", 15, "start", "trained")
    d.line((250, 304), (250, y + 44), colour="trained", dashed=True)
    d.badge(150, 320, "2")
    d.text(170, 325, "KL: $μ$ near 0, $σ$ near 1", 15, "start", "trained")
    d.text(24, 372, "loss = reconstruction + $λ_{KL}$ KL, with KL = $½ (μ^2 + σ^2 − 1 − log σ^2)$", 15, "start")
    return d
