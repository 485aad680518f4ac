"""A Sphinx extension: formulas as MathML, which browsers draw themselves, with no network and no script."""

import latex2mathml.converter
from docutils import nodes


def _convert(latex: str, display: str) -> str:
    return latex2mathml.converter.convert(latex, display=display)


def inline(writer, node: nodes.math) -> None:
    """$…$"""
    writer.body.append(_convert(node.astext(), "inline"))
    raise nodes.SkipNode


def block(writer, node: nodes.math_block) -> None:
    """$$…$$"""
    writer.body.append(f'<div class="formula">{_convert(node.astext(), "block")}</div>\n')
    raise nodes.SkipNode


def setup(app) -> dict:
    """Called by Sphinx."""
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
