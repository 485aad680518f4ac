"""A small drawing kit: boxes, arrows, and text with a little mathematics, as an SVG that follows the reader's theme.

Text between two `$` is mathematics: `$z_t^A$`, `$C_{text}$`. Letters are slanted there, digits and signs are not.
"""

import math
import re
import unicodedata
from html import escape

SANS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
SERIF = "'STIX Two Text', Cambria, 'Times New Roman', 'Liberation Serif', serif"
# strong and pale, on a light page and on a dark one. Modalities: Okabe and Ito's colours, for all eyes
COLOURS = {
    "text": ("#0072b2", "#d9ebf8", "#56b4e9", "#12324a"),
    "image": ("#e69f00", "#fdedcb", "#e69f00", "#4a3510"),
    "audio": ("#009e73", "#d3f0e6", "#2fbf95", "#0c3d30"),
    "video": ("#cc79a7", "#f8e3ee", "#dd93bb", "#47293b"),
    "trained": ("#c04c00", "#fde4d5", "#ff8a4c", "#4a2412"),
    "frozen": ("#8c959f", "#eaeef2", "#7d8790", "#2b3138"),
    "cond": ("#a08a00", "#fbf5bd", "#f0e442", "#3f3b10"),
    "ink": ("#1f2328", "#ffffff", "#e6edf3", "#161b22"),
    "muted": ("#59636e", "#f6f8fa", "#9ea7b3", "#1d232b"),
}
# what mathematics is made of: a script, a word, a letter with an accent, letters, and all else
PIECES = re.compile(
    r"([_^])(\{[^}]*\}|.)|(cos|sin|log)|([a-zα-ω])([\u0302\u0304])|([A-Za-zα-ω]+)(?![\u0302\u0304])|([^A-Za-zα-ω_^]+)"
)
ACCENTS = {"\u0302": "ˆ", "\u0304": "ˉ"}  # by themselves, since few fonts have the letters with their accents


def number(x: float) -> str:
    """At most one decimal."""
    return f"{x:.1f}".removesuffix(".0")


def spans(markup: str, size: float) -> str:
    """The inside of a text element."""
    out, level, moved, script = [], 0.0, 0.0, 0.0

    def put(text: str, kind: str = "", at: float = 0, scale: float = 1.06) -> None:
        nonlocal level, moved
        moves = "".join(f' {k}="{number(v)}"' for k, v in (("dx", moved), ("dy", at - level)) if abs(v) > 0.04)
        look = f' class="{kind}" font-size="{number(size * scale)}"' if kind else ""
        out.append(f"<tspan{look}{moves}>{escape(text)}</tspan>" if look or moves else escape(text))
        level, moved = at, 0.0

    for i, part in enumerate(markup.split("$")):
        if i % 2 == 0:
            put(part) if part else None
            continue
        for mark, raised, word, accented, accent, letters, others in PIECES.findall(unicodedata.normalize("NFD", part)):
            if mark:
                text = raised.strip("{}")
                moved -= script  # above the one below
                kind, at = "m" if len(text) == 1 and text.isalpha() else "r", 0.26 if mark == "_" else -0.38
                put(text, kind, size * at, 0.74)
                script = 0 if script else size * sum(0.22 if c in "ijlt" else 0.38 for c in text)
                continue
            script = 0
            put(accented or letters or word or others, "m" if accented or letters else "r")
            if accent:
                base, sign = (0.5 if accented == "α" else 0.43) * size, 0.35 * size
                moved = -(base + sign) / 2
                put(ACCENTS[accent], "m")
                moved = (base - sign) / 2
        script = 0
    return "".join(out)


class Drawing:
    """One diagram, on a card of its own.

    Args:
        title: the sentence that it is there for, its heading. desc: what it shows; both are read aloud.
        height, width: of the card, in units of which a letter has 14 or more.
    """

    def __init__(self, title: str, desc: str, height: float, width: float = 640):
        self.title, self.desc, self.height, self.width = title, desc, height, width
        self.parts: list[str] = []
        self.text(24, 38, title, 18, "start", bold=True)

    def add(self, tag: str, cls: str, inside: str = "", **attributes) -> None:
        """An element; of attribute names `_` becomes `-`."""
        values = {k.replace("_", "-"): number(v) if isinstance(v, (int, float)) else v for k, v in attributes.items()}
        text = "".join(f' {k}="{v}"' for k, v in values.items())
        self.parts.append(f'<{tag} class="{cls}"{text}>{inside}</{tag}>' if inside else f'<{tag} class="{cls}"{text}/>')

    def text(self, x, y, markup: str, size=16, anchor="middle", colour="ink", bold=False) -> None:
        """Lines of text, the first with its baseline at y."""
        for i, line in enumerate(markup.split("\n")):
            look = f"solid-{colour}" + (" b" if bold else "")
            self.add("text", look, spans(line, size), x=x, y=y + i * size * 1.3, font_size=size, text_anchor=anchor)

    def box(self, x, y, w, h, colour="ink", label="", size=16, r=8, dashed=False, bold=False) -> None:
        """A box around (x, y) … (x + w, y + h), its label in the middle."""
        more = {"stroke_dasharray": "5 4"} if dashed else {}
        self.add("rect", f"tint-{colour} box", x=x, y=y, width=w, height=h, rx=r, stroke_width=2, **more)
        if label:
            first = y + h / 2 + size * 0.35 - label.count("\n") * size * 0.65
            self.text(x + w / 2, first, label, size, bold=bold)

    def badge(self, x, y, label: str, colour="trained") -> None:
        """A number in a disc around (x, y)."""
        self.add("circle", f"solid-{colour}", cx=x, cy=y, r=11)
        self.add("text", "pale-ink b", label, x=x, y=y + 5, font_size=14, text_anchor="middle")

    def line(self, *points, colour="ink", width=2, dashed=False, curve=False, heads=1) -> None:
        """Through points, or a cubic curve of four; an arrow's tip (two, with `heads` = 2) is on the last point."""
        points, tips = [tuple(map(float, p)) for p in points], []
        size = 5 + 2 * width
        for end, nearer in ((-1, -2), (0, 1))[:heads]:
            (x, y), (u, v) = points[end], points[nearer]
            length = math.hypot(x - u, y - v)
            dx, dy = (x - u) / length, (y - v) / length
            tips.append([(x, y)] + [(x - size * (dx + k * dy), y - size * (dy - k * dx)) for k in (0.5, -0.5)])
            points[end] = (x - 0.8 * size * dx, y - 0.8 * size * dy)
        start, *others = (f"{number(x)} {number(y)}" for x, y in points)
        d = f"M{start} " + ("C" + ", ".join(others) if curve else " ".join("L" + p for p in others))
        more = {"stroke_dasharray": "6 5"} if dashed else {}
        self.add("path", f"line-{colour}", d=d, stroke_width=width, **more)
        for tip in tips:
            self.add("path", f"solid-{colour}", d="M" + " L".join(f"{number(x)} {number(y)}" for x, y in tip) + " Z")

    def css(self) -> str:
        """Of the classes that are used, light and dark."""
        body = "".join(['"card"', *self.parts])

        def rules(strong: int) -> str:
            out = [("card", f"fill:{COLOURS['ink'][strong + 1]};stroke:{('#d1d9e0', '', '#30363d')[strong]}")]
            for name, colours in COLOURS.items():
                a, b = colours[strong : strong + 2]
                out += [(f"solid-{name}", f"fill:{a}"), (f"pale-{name}", f"fill:{b}")]
                out += [(f"tint-{name}", f"fill:{b};stroke:{a}"), (f"line-{name}", f"fill:none;stroke:{a}")]
            return "".join(f".{name}{{{rule}}}" for name, rule in out if re.search(rf'[" ]{name}[" ]', body))

        fonts = f"text{{font-family:{SANS}}}.m{{font-family:{SERIF};font-style:italic}}.r{{font-family:{SERIF}}}"
        return f"{fonts}.b{{font-weight:600}}{rules(0)}@media (prefers-color-scheme:dark){{{rules(2)}}}"

    def svg(self) -> str:
        """The file."""
        w, h = number(self.width), number(self.height)
        head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="img"'
        title = escape(self.title.replace("$", ""))
        names = f'<title id="title">{title}</title>\n<desc id="desc">{escape(self.desc)}</desc>'
        card = f'<rect class="card" x="1" y="1" width="{self.width - 2}" height="{self.height - 2}" rx="14"/>'
        body = "\n".join([names, f"<style>{self.css()}</style>", card, *self.parts])
        return f'{head} aria-labelledby="title desc">\n{body}\n</svg>\n'
