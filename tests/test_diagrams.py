"""The diagrams: as the code beside them draws them, well-formed, readable, and used."""

import re
import unicodedata
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import NamedTuple

import pytest

from docs.diagrams.draw import DIAGRAMS, FOLDER
from docs.diagrams.svg import COLOURS

ROOT = Path(__file__).parents[1]
SVG = "{http://www.w3.org/2000/svg}"
NAMES = [diagram.__name__ for diagram in DIAGRAMS]
PLACES = {  # for a diagram's name the files, from the root, that show it
    "system": ("README.md", "docs/index.md", "notebooks/00_any_to_any.ipynb"),
    "diffusion": ("notebooks/01_noise.ipynb",),
    "rotation": ("notebooks/02_sampling.ipynb",),
    "vae": ("notebooks/03_autoencoders_image_video.ipynb",),
    "sound": ("notebooks/04_autoencoders_audio.ipynb",),
    "captions": ("notebooks/04b_autoencoders_text.ipynb",),
    "unet": ("notebooks/05_latent_diffusion.ipynb",),
    "clips": ("notebooks/05b_clips_and_captions.ipynb",),
    "bridge": ("notebooks/06_bridging.ipynb",),
    "mixing": ("notebooks/07_composing.ipynb",),
    "attention": ("notebooks/08_joint.ipynb",),
    "wirings": ("notebooks/08_joint.ipynb",),
    "notebooks": ("README.md", "notebooks/09_assembled.ipynb"),
}
SEEN = """() => ({
    texts: [...document.querySelectorAll('text')].map(e => {
        const b = e.getBBox()
        return [b.x, b.y, b.x + b.width, b.y + b.height]
    }),
    lines: [...document.querySelectorAll('[class^=line]')].map(e => {
        const points = [], n = e.getTotalLength()
        for (let s = 0; s <= n; s += 2) { const p = e.getPointAtLength(s); points.push([p.x, p.y]) }
        return points
    }),
})"""


class Box(NamedTuple):
    """From (x0, y0) to (x1, y1)."""

    x0: float
    y0: float
    x1: float
    y1: float

    def inside(self, other: "Box", margin: float = 0) -> bool:
        x0, y0, x1, y1 = other
        return x0 + margin <= self.x0 and y0 + margin <= self.y0 and self.x1 <= x1 - margin and self.y1 <= y1 - margin

    def apart(self, other: "Box") -> bool:
        return self.x1 <= other.x0 or other.x1 <= self.x0 or self.y1 <= other.y0 or other.y1 <= self.y0


def tree(name: str) -> ElementTree.Element:
    return ElementTree.fromstring((FOLDER / f"{name}.svg").read_text(encoding="utf-8"))


def words(text: ElementTree.Element) -> str:
    return "".join(text.itertext())


def estimated(text: ElementTree.Element) -> Box:
    """Where a text is, if each of its letters is 0.56 of its size wide, and a space 0.3; accents have no width."""
    x, y, size = (float(text.get(key)) for key in ("x", "y", "font-size"))
    widths = {"Mn": 0, "Lm": 0, "Zs": 0.3}
    wide = size * sum(widths.get(unicodedata.category(letter), 0.56) for letter in words(text))
    left = x - wide * {"start": 0, "middle": 0.5, "end": 1}[text.get("text-anchor")]
    return Box(left, y - 0.75 * size, left + wide, y + 0.25 * size)


@pytest.fixture(scope="module")
def page(browser):
    return browser.new_page()


@pytest.fixture(params=["estimated", "in a browser"])
def layout(request, name):
    """For each text its words and its box; and points of each line, which only a browser knows."""
    texts = [text for text in tree(name).iter(f"{SVG}text")]
    if request.param == "estimated":
        return [(words(text), estimated(text)) for text in texts], []
    page = request.getfixturevalue("page")
    page.goto((FOLDER / f"{name}.svg").as_uri())
    seen = page.evaluate(SEEN)
    boxes = [Box(x0, y0 + 1, x1, y1 - 1) for x0, y0, x1, y1 in seen["texts"]]  # letters are not that high
    return list(zip(map(words, texts), boxes, strict=True)), seen["lines"]


def rectangles(name: str, *kinds: str) -> list[Box]:
    """Those whose class begins with one of these."""
    out = []
    for rect in tree(name).iter(f"{SVG}rect"):
        if rect.get("class").startswith(kinds):
            x, y, w, h = (float(rect.get(key)) for key in ("x", "y", "width", "height"))
            out.append(Box(x, y, x + w, y + h))
    return out


def test_the_files_are_what_the_code_draws():
    drawn = {f"{diagram.__name__}.svg": diagram().svg() for diagram in DIAGRAMS}
    assert drawn == {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.svg")}


@pytest.mark.parametrize("name", NAMES)
def test_it_is_an_image_with_a_title_and_a_description(name):
    root = tree(name)  # well-formed, or it raises
    assert root.tag == f"{SVG}svg" and root.get("role") == "img"
    labels = {element.get("id"): element.text for element in root[:2]}
    assert [element.tag for element in root[:2]] == [f"{SVG}title", f"{SVG}desc"]
    assert root.get("aria-labelledby").split() == list(labels)
    assert 10 < len(labels["title"]) < 60 and 60 < len(labels["desc"]) < 450


@pytest.mark.parametrize("name", NAMES)
def test_it_needs_nothing_else_and_follows_the_theme(name):
    text = (FOLDER / f"{name}.svg").read_text(encoding="utf-8")
    assert "prefers-color-scheme:dark" in text
    assert not re.search(r"<script|<image|<foreignObject|href=|url\(|@import", text)


@pytest.mark.parametrize("name", NAMES)
def test_it_can_be_read_on_a_phone(name):
    root = tree(name)
    assert float(root.get("width")) == float(root.get("viewBox").split()[2]) <= 760
    assert min(float(text.get("font-size")) for text in root.iter(f"{SVG}text")) >= 13


@pytest.mark.parametrize("name", NAMES)
def test_no_text_runs_out_of_its_box(name, layout):
    texts, _ = layout
    (card,), boxes = rectangles(name, "card"), rectangles(name, "tint", "pale")
    for label, text in texts:
        assert text.inside(card, margin=10), label
        for box in boxes:
            assert text.apart(box) or text.inside(box, margin=0.5), (label, box)


@pytest.mark.parametrize("name", NAMES)
def test_no_text_lies_on_another_text_a_picture_or_a_line(name, layout):
    texts, lines = layout
    pictures = rectangles(name, "line", "solid")
    for i, (label, text) in enumerate(texts):
        for other, its in texts[:i]:
            assert text.apart(its), (label, other)
        assert all(map(text.apart, pictures)), label
        for points in lines:
            assert not any(text.x0 < x < text.x1 and text.y0 < y < text.y1 for x, y in points), label


def contrast(a: str, b: str) -> float:
    """Of two colours "#rrggbb", as the Web Content Accessibility Guidelines define it."""

    def light(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    dark, bright = sorted((light(a), light(b)))
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("strong", [0, 2], ids=["light", "dark"])
def test_text_stands_out(strong):
    card = COLOURS["ink"][strong + 1]
    for colours in COLOURS.values():
        assert contrast(COLOURS["ink"][strong], colours[strong + 1]) >= 7
    for name in ("muted", "trained"):
        for ground in (card, COLOURS["muted"][strong + 1]):
            assert contrast(COLOURS[name][strong], ground) >= 4.5


@pytest.mark.parametrize("name", NAMES)
def test_it_is_used(name):
    for place in PLACES[name]:
        assert f"diagrams/{name}.svg" in (ROOT / place).read_text(encoding="utf-8"), place
