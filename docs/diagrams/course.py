"""The map of the notebooks."""

from docs.diagrams.svg import Drawing

NOTEBOOKS = (
    (34, 144, 78, "01", "noise", "$z_t$"),
    (140, 144, 78, "02", "sampling", "$z_s$"),
    (250, 144, 78, "03", "image,\nvideo", "$z_0$"),
    (356, 144, 78, "04", "audio,\ntext", "$z_0$"),
    (142, 280, 188, "05", "latent diffusion", "$ε_m$"),
    (482, 144, 98, "06", "bridging", "$C_m$"),
    (482, 280, 98, "07", "composing", "$Σ w C$"),
    (142, 416, 188, "08", "streams that\nsee each other", "$V_m$"),
)
GROUPS = (
    (24, 114, 204, 112, 126, "diffusion"),
    (240, 114, 204, 112, 342, "autoencoders"),
    (472, 114, 144, 248, 531, "prompts"),
    (132, 250, 208, 112, 236, "one stream"),
    (132, 386, 208, 112, 180, "joint"),
)


def notebooks() -> Drawing:
    """Which notebook builds on which."""
    d = Drawing(
        "Ten notebooks, and which builds on which",
        "A map. Notebook 00 shows the finished model. 01 and 02 are about diffusion, 03 and 04 about autoencoders; 05, "
        "one stream, builds on both. 06 and 07 are about prompts, and 07 builds on 05, too. 08, joint generation, "
        "builds on 05 and 06. 09 puts all together.",
        height=590,
    )
    d.box(24, 58, 592, 38, "ink", "00 · the finished model, at work", 16, bold=True)
    for x, y, w, h, middle, name in GROUPS:
        d.add("rect", "pale-muted", x=x, y=y, width=w, height=h, rx=10)
        d.text(middle, y + 21, name, 15, colour="muted")
    for x, y, w, number, name, symbol in NOTEBOOKS:
        d.box(x, y, w, 74, "ink")
        d.text(x + 9, y + 25, number, 16, "start", bold=True)
        d.text(x + w - 10, y + 25, symbol, 16, "end", "muted")
        d.text(x + 9, y + (48 if "\n" in name else 54), name, 14, "start")
    for x, y in ((113, 138), (329, 354)):
        d.line((x, 181), (y, 181))
    d.line((180, 227), (180, 278))
    d.line((292, 227), (292, 278))
    d.line((331, 317), (480, 317))
    d.line((531, 219), (531, 278))
    d.line((236, 355), (236, 414))
    d.line((581, 181), (599, 181), (599, 453), (332, 453))
    d.line((236, 491), (236, 524))
    d.box(24, 526, 592, 38, "ink", "09 · all of it: trained, sampled, measured", 16, bold=True)
    return d
