"""The map of the notebooks."""

from docs.diagrams.svg import Drawing

NOTEBOOKS = (
    (32, 144, 66, "01", "noise", "$z_t$"),
    (117, 144, 85, "02", "sampling", "$z_s$"),
    (228, 144, 62, "03", "image,\nvideo", "$z_0$"),
    (307, 144, 58, "04", "audio", "$z_0$"),
    (382, 144, 69, "04b", "text", "$z_0$"),
    (142, 280, 84, "05", "latent\ndiffusion", "$ε_m$"),
    (246, 280, 84, "05b", "clips and\ncaptions", "$ε_m$"),
    (482, 144, 98, "06", "bridging", "$C_m$"),
    (482, 280, 98, "07", "composing", "$Σ w C$"),
    (142, 416, 188, "08", "streams that\nsee each other", "$V_m$"),
)
GROUPS = (
    (24, 114, 186, 112, 117, "diffusion"),
    (220, 114, 238, 112, 339, "autoencoders"),
    (472, 114, 144, 248, 531, "prompts"),
    (132, 250, 208, 112, 236, "one stream"),
    (132, 386, 208, 112, 180, "joint"),
)


def notebooks() -> Drawing:
    """Which notebook builds on which."""
    d = Drawing(
        "Twelve notebooks, and which builds on which",
        "A map. Notebook 00 shows the finished model. 01 and 02 are about diffusion, 03, 04 and 04b about "
        "autoencoders; 05 and 05b, one stream, build on both. 06 and 07 are about prompts, and 07 builds on 05, too. "
        "08, joint generation, builds on 05 and 06. 09 puts all together.",
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
    for x, y in ((99, 115), (291, 305), (366, 380)):
        d.line((x, 181), (y, 181))
    d.line((227, 317), (244, 317))
    d.line((166, 227), (166, 278))
    d.line((300, 227), (300, 278))
    d.line((331, 317), (480, 317))
    d.line((531, 219), (531, 278))
    d.line((236, 355), (236, 414))
    d.line((581, 181), (599, 181), (599, 453), (332, 453))
    d.line((236, 491), (236, 524))
    d.box(24, 526, 592, 38, "ink", "09 · all of it: trained, sampled, measured", 16, bold=True)
    return d
