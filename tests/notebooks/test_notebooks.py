"""Every notebook and every solution runs at the tiny scale, is light and clean, and has all that a lesson has."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.machine import MACHINE

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10, where pytest brings its forerunner
    import tomli as tomllib

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
SOLUTION = re.compile(r"^~~~python\n(.*?)^~~~$", re.MULTILINE | re.DOTALL)
SECTIONS = ["The idea", "In twenty lines", "Change it", "Exercises", "For the teacher", "What comes next"]


def test_there_are_ten():
    assert [path.name[:2] for path in NOTEBOOKS] == [f"{i:02d}" for i in range(10)]


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def path(request) -> Path:
    return request.param


def code(notebook) -> list:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_it_runs_at_the_tiny_scale(path, tmp_path, monkeypatch):
    monkeypatch.setenv("CODI_SCALE", "tiny")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    notebook = nbformat.read(path, as_version=4)
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    solutions = SOLUTION.findall(prose)
    assert len(solutions) >= 3
    notebook.cells += [nbformat.v4.new_code_cell(solution) for solution in solutions]
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute()
    for cell in code(notebook):
        for output in cell.outputs:
            assert output.output_type != "error"
            assert "Warning" not in output.get("text", "")


def test_it_is_committed_as_executed_from_top_to_bottom(path):
    cells = code(nbformat.read(path, as_version=4))
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert not any(output.output_type == "error" or output.get("name") == "stderr" for output in outputs)
    assert any("image/png" in output.get("data", {}) for output in outputs)


def test_it_is_light_and_speaks_of_no_machine(path):
    text = path.read_text(encoding="utf-8")
    assert len(text) <= 600_000
    shown = re.sub(r'"(?:image/png|text/html)": (?:"[^"]*"|\[[^]]*\])', "", text)  # pictures and players
    assert not MACHINE.search(shown), MACHINE.search(shown)
    assert "Warning" not in shown


def test_its_cells_are_short_and_define_no_class(path):
    for cell in code(nbformat.read(path, as_version=4)):
        lines = [line for line in cell.source.splitlines() if line.strip()]
        assert len(lines) <= 15, cell.source
        assert not any(line.lstrip().startswith("class ") for line in lines), cell.source


def test_it_has_its_sections_a_checked_toy_and_three_solved_exercises(path):
    notebook = nbformat.read(path, as_version=4)
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    places = [prose.find(f"## {section}") for section in SECTIONS]
    assert -1 not in places and places == sorted(places)
    assert "assert_close" in "\n".join(cell.source for cell in code(notebook))
    assert prose.count("<details>") == prose.count("</details>") >= 3
    assert all(f"**{word}**" in prose for word in ("Goal", "Paper", "Time"))
    assert "parameters" in code(notebook)[0].metadata.get("tags", [])


FIGURES = tomllib.loads(Path(__file__).with_name("figures.toml").read_text(encoding="utf-8"))["figure"]


def number(pattern: str, outputs: str) -> float:
    """The group of a pattern in the outputs, as a number."""
    found = re.search(pattern, outputs)
    assert found, f"no output has {pattern!r}"
    return float(found[1])


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: f"{figure['notebook']}: {figure['says'][:40]}")
def test_the_outputs_bear_out_what_the_prose_says(figure):
    (path,) = [path for path in NOTEBOOKS if path.name.startswith(figure["notebook"])]
    notebook = nbformat.read(path, as_version=4)
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert figure["says"] in " ".join(prose.split()), "the prose says so no more: mend figures.toml"
    outputs = "".join(output.get("text", "") for cell in code(notebook) for output in cell.outputs)
    value = number(figure["shown"], outputs)
    if "than" in figure:
        assert value >= number(figure["than"], outputs) + figure.get("by", 0)
    else:
        assert figure["least"] <= value <= figure["most"]
