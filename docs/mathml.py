"""A Sphinx extension: formulas as MathML, which browsers draw themselves, with no network and no script."""

import re

import latex2mathml.converter
from docutils import nodes
from sphinx.util import logging

TAG = re.compile(r"\\tag\{(.+?)\}")
NORM = re.compile(r"(?:\\(?:[Bb]igg?[lr]?|left|right)\s*)?\\([lr])Vert(?![a-zA-Z])")
LOG = re.compile(r"\\log\s*(?=[a-zA-Z]|\\(?!left|,|\W))")  # MathML would set it close to a letter or fraction after it
HAT = '<mo stretchy="false">&#x002C6;</mo>'
# what the converter leaves in TeX, and an accent that is too tall
INSTEAD = {r"\lVert": "‖", r"\rVert": "‖", "&#x02016;": "‖", "<mo>&#x0005E;</mo>": HAT}
# browsers draw letters of a `mathvariant` in italics; the first capital of each alphabet, and those that lie elsewhere
ALPHABETS = {
    "script": (0x1D49C, dict(zip("BEFHILMR", "ℬℰℱℋℐℒℳℛ", strict=True))),
    "double-struck": (0x1D538, dict(zip("CHNPQRZ", "ℂℍℕℙℚℝℤ", strict=True))),
}


def _letter(match: re.Match) -> str:
    """A capital of an alphabet as a character of its own."""
    first, elsewhere = ALPHABETS[match[1]]
    return f"<mi>{elsewhere.get(match[2]) or chr(first + ord(match[2]) - ord('A'))}</mi>"


def _convert(latex: str, display: str, node: nodes.Node) -> str:
    """MathML. A command that the converter does not know is a warning, and so an error of `make docs`."""
    # the bars of a norm are as tall as what is between them
    latex = NORM.sub(lambda bar: rf"\{dict(l='left', r='right')[bar[1]]}\{bar[1]}Vert", latex)
    latex = LOG.sub(r"\\log\\, ", latex)
    mathml = latex2mathml.converter.convert(latex, display=display)
    for old, new in INSTEAD.items():
        mathml = mathml.replace(old, new)
    mathml = re.sub(rf'<mi mathvariant="({"|".join(ALPHABETS)})">([A-Z])</mi>', _letter, mathml)
    if unknown := re.findall(r">\s*(\\[^<]*)<", mathml):
        logging.getLogger(__name__).warning("unknown in a formula: %s", ", ".join(unknown), location=node)
    return mathml


def inline(writer, node: nodes.math) -> None:
    """$…$"""
    writer.body.append(_convert(node.astext(), "inline", node))
    raise nodes.SkipNode


def block(writer, node: nodes.math_block) -> None:
    """$$…$$; the number of a \\tag stands at the right margin."""
    latex = node.astext()
    tags = "".join(f'<span class="tag">({tag})</span>' for tag in TAG.findall(latex))
    writer.body.append(f'<div class="formula">{_convert(TAG.sub("", latex), "block", node)}{tags}</div>\n')
    raise nodes.SkipNode


def setup(app) -> dict:
    """Called by Sphinx."""
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
