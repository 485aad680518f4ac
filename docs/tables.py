"""A Sphinx extension: tables that can be read on a telephone. What they become there is in _static/site.css.

A table of class `cards`, with words in several columns, becomes a card a row, in which each cell has the label of its
column. Any other scrolls in a box of its own, of class `figures`, and its first column stays in sight.
"""

import html
import re
from itertools import zip_longest

LONG = 24  # characters; an interval has fewer
TABLE = re.compile(r'<table class="docutils([^"]*)">(.*?)</table>', re.DOTALL)
ROW = re.compile(r"<tr.*?</tr>", re.DOTALL)
CELL = re.compile(r"<t([hd])([^>]*)>(.*?)</t\1>", re.DOTALL)
CODE = re.compile(r'(?<=<span class="pre">)[^<]+')
INTERVAL = re.compile(r"\[-?\d[\d.]*, -?\d[\d.]*\]")


def text(cell: str) -> str:
    """What a cell shows, without markup."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", cell)).split())


def _table(match: re.Match) -> str:
    """The table with its class, and cells with labels."""
    rows = [[cell[3] for cell in CELL.finditer(row)] for row in ROW.findall(match[2])]
    labels = [html.escape(text(cell)) for cell in rows[0]]
    longest = [max(map(len, map(text, column))) for column in zip_longest(*rows, fillvalue="")]
    kind = "cards" if sum(n > LONG for n in longest[1:]) > 1 else "figures"

    def row(match: re.Match) -> str:
        columns = iter(zip(labels, longest, strict=True))

        def cell(match: re.Match) -> str:
            (label, most), (tag, attributes, inner) = next(columns), match.groups()
            if tag == "h":
                return match[0]
            # where a name or an interval may be broken, and where not
            inner = CODE.sub(lambda code: re.sub(r"(/|::|_)(?=\w)", r"\1<wbr>", code[0]), inner)
            inner = INTERVAL.sub(r'<span class="interval">\g<0></span>', inner)
            kinds = " ".join(["long"] * (most > LONG) + ["empty"] * (not text(inner)))
            return f'<td{attributes} data-label="{label}" data-kind="{kinds}"><div>{inner}</div></td>'

        return CELL.sub(cell, match[0])

    return f'<table class="docutils{match[1]} {kind}">{ROW.sub(row, match[2])}</table>'


def page(app, name: str, template: str, context: dict, doctree) -> None:
    """Every table of a page."""
    if "body" in context:
        context["body"] = TABLE.sub(_table, context["body"])


def setup(app) -> dict:
    """Called by Sphinx."""
    app.connect("html-page-context", page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
