"""The derivations run, and a cell checks each of their formulas; glossary and reading list are in order."""

import re
import unicodedata
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.machine import MACHINE

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PATH = DOCS / "derivations.ipynb"
SECTIONS = [
    "From the ELBO to the simple loss",
    "Tweedie's formula",
    "v-prediction",
    "DPM-Solver++",
    "Guidance",
    "InfoNCE",
]
FORMULA = re.compile(r"\$\$(.+?)\$\$", re.DOTALL)
TAG = re.compile(r"\\tag\{(\d+)\}")
CHECK = re.compile(r"\bassert_close\(|^\s*assert ", re.MULTILINE)
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture
def cells() -> list:
    return nbformat.read(PATH, as_version=4).cells


def code_of(cells: list) -> list:
    return [cell for cell in cells if cell.cell_type == "code"]


def steps(cells: list) -> list[tuple[list[str], str]]:
    """Of each cell of text: its formulas, and the code between it and the next cell of text."""
    found: list[tuple[list[str], str]] = []
    for cell in cells:
        if cell.cell_type == "markdown":
            found.append((FORMULA.findall(cell.source), ""))
        else:
            formulas, code = found.pop()
            found.append((formulas, f"{code}\n{cell.source}"))
    return found


def checked(code: str) -> set[str]:
    """The formulas whose numbers stand in a comment that a check follows, before the next such comment."""
    parts = re.split(r"^# (\(\d+\).*)$", code, flags=re.MULTILINE)
    return {tag for head, body in zip(parts[1::2], parts[2::2], strict=True) if CHECK.search(body)
            for tag in re.findall(r"\((\d+)\)", head)}  # fmt: skip


@pytest.mark.slow
def test_they_run(tmp_path):
    notebook = nbformat.read(PATH, as_version=4)
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute()
    outputs = [output for cell in code_of(notebook.cells) for output in cell.outputs]
    assert not any(output.output_type == "error" or "Warning" in output.get("text", "") for output in outputs)


def test_they_are_committed_as_executed(cells):
    code = code_of(cells)
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert not any(output.output_type == "error" or output.get("name") == "stderr" for output in outputs)
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 3
    text = PATH.read_text(encoding="utf-8")
    assert len(text) <= 600_000 and not MACHINE.search(re.sub(r'"image/png": "[^"]*"', "", text))


def test_cells_are_short(cells):
    for cell in code_of(cells):
        lines = [line for line in cell.source.splitlines() if line.strip()]
        assert len(lines) <= 15 and max(map(len, lines)) <= 82, cell.source


def test_the_sections_are_in_order_and_each_derives_something(cells):
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    title, *parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    assert title.startswith("# Derivations\n") and parts[::2] == SECTIONS
    assert all(len(FORMULA.findall(body)) >= 5 for body in parts[1::2])


def test_formulas_are_numbered_from_one(cells):
    formulas = [formula for of_cell, _ in steps(cells) for formula in of_cell]
    assert [TAG.findall(formula) for formula in formulas] == [[str(i + 1)] for i in range(len(formulas))]


def test_the_code_below_a_formula_names_it_and_checks_it(cells):
    for formulas, code in steps(cells):
        tags = {tag for formula in formulas for tag in TAG.findall(formula)}
        assert tags <= checked(code), f"not checked: {sorted(tags - checked(code))}"


def test_a_formula_that_nothing_checks_would_be_found():
    assert checked("# (1): a\nx = 1\n# (2) and (3)\nassert_close(x, y)\n\n# (4)\nprint(x)") == {"2", "3"}


@pytest.mark.parametrize("page", ["derivations.ipynb", "glossary.md", "reading_list.md"])
def test_each_link_leads_to_a_file(page):
    links = re.findall(r"\]\(([^)#\s]+)", (DOCS / page).read_text(encoding="utf-8"))
    local = [link for link in links if not link.startswith("https://")]
    assert local or page == "derivations.ipynb"
    for link in local:
        assert (DOCS / link).is_file(), link


def plain(term: str) -> str:
    """A term as it is sorted: without accents and capitals."""
    letters = unicodedata.normalize("NFKD", term)
    return "".join(letter for letter in letters if not unicodedata.combining(letter)).casefold()


def test_terms_are_unique_in_order_and_lead_to_a_page_that_uses_them():
    lines = (DOCS / "glossary.md").read_text(encoding="utf-8").splitlines()
    entries = [line for line in lines if line.startswith("**")]
    terms = [plain(re.match(r"\*\*(.+?)\*\*", entry)[1]) for entry in entries]
    assert len(terms) >= 40 and terms == sorted(set(terms))
    for entry in entries:
        name, link = re.search(r"\. \[(\w+)\]\((\S+\.ipynb)\)$", entry).groups()
        assert link == "derivations.ipynb" or link.startswith(f"../notebooks/{name}_"), entry
        page = plain((DOCS / link).read_text(encoding="utf-8"))
        for word in re.findall(r"[a-z]{4,}", plain(re.match(r"\*\*(.+?)\*\*", entry)[1])):
            assert word.rstrip("s")[:6] in page, entry


def test_each_notebook_has_two_to_four_readings():
    text = (DOCS / "reading_list.md").read_text(encoding="utf-8")
    _, *parts = re.split(r"^## ", text, flags=re.MULTILINE)
    for part in parts:
        assert 2 <= len(re.findall(r"^- ", part, re.MULTILINE)) <= 4, part
    assert {path.name for path in NOTEBOOKS} <= set(re.findall(r"\.\./notebooks/(\w+\.ipynb)", text))


def test_a_paper_has_one_number():
    """The number in the text of a link is that of its address, and the same title has the same number everywhere."""
    text = (DOCS / "reading_list.md").read_text(encoding="utf-8")
    for shown, address in re.findall(r"\[([\d.]+)\]\(https://arxiv\.org/abs/([\d.]+)\)", text):
        assert shown == address
    papers = set(re.findall(r'^- "(.+?)" \(.+?(\d{4}\.\d{4,5})\]', text, re.MULTILINE))
    assert len(papers) == len({title for title, _ in papers}) == len({number for _, number in papers}) >= 25
