"""Every notebook and every solution runs at the tiny scale, is light and clean, and has all that a lesson has."""

import re
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager

from docs.links import REPOSITORY, SETUP, badge
from tests.machine import MACHINE
from tests.notebooks.cells import run

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10, where pytest brings its forerunner
    import tomli as tomllib

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
SOLUTION = re.compile(r"^~~~python\n(.*?)^~~~$", re.MULTILINE | re.DOTALL)
SECTIONS = ["The idea", "In twenty lines", "Change it", "Quiz", "Exercises", "For the teacher", "What comes next"]
NUMBERS = ["00", "01", "02", "03", "04", "04b", "05", "05b", "06", "07", "08", "09"]
MOVING = ["00", "04", "05b", "08"]  # these play sound and show clips that move
# of each slider, its notebook and what it is called
SLIDERS = [("00", "weight w"), ("02", "steps"), ("02", "guidance"), ("07", "weight of the text")]


def test_there_are_twelve():
    assert [number_of(path) for path in NOTEBOOKS] == NUMBERS


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def path(request) -> Path:
    return request.param


def number_of(path: Path) -> str:
    return path.stem.split("_")[0]


def code(notebook) -> list:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def tagged(notebook, tag: str) -> list[int]:
    """The places of the cells that have a tag."""
    return [i for i, cell in enumerate(notebook.cells) if tag in cell.metadata.get("tags", [])]


@pytest.mark.slow
def test_it_runs_at_the_tiny_scale(path, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    solutions = SOLUTION.findall(prose)
    assert len(solutions) >= 3
    cells = [cell.source for cell in code(notebook)] + solutions
    printed = run(cells, tmp_path, {"CODI_SCALE": "tiny", "HF_HUB_OFFLINE": "1"})
    assert "warning" not in printed.lower()


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
    assert len(tagged(notebook, "parameters")) == 1
    quiz = prose[prose.find("## Quiz") : prose.find("## Exercises")]
    asked = re.findall(r"^\*\*(\d)\.\*\* (.+)$", quiz, re.MULTILINE)
    assert [number for number, _ in asked] == list("12345") and len({text for _, text in asked}) == 5
    assert quiz.count("<details>") == quiz.count("</details>") == 5
    exercises = prose[prose.find("## Exercises") : prose.find("## For the teacher")]
    assert len(SOLUTION.findall(exercises)) >= 3 and "```" not in exercises  # what is fenced otherwise is not run


def test_it_opens_elsewhere_and_installs_only_what_is_missing(path, monkeypatch):
    notebook = nbformat.read(path, as_version=4)
    (first,) = tagged(notebook, "setup")
    assert first == 1 and notebook.cells[1].source == SETUP.strip()
    assert notebook.cells[0].source.splitlines()[2] == badge(path)
    lines, asked = TransformerManager().transform_cell(SETUP), []
    shell = SimpleNamespace(run_line_magic=lambda *call: asked.append(call))
    exec(lines, {"get_ipython": lambda: shell})
    assert not asked
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    exec(lines, {"get_ipython": lambda: shell})
    assert asked == [("pip", f'install --quiet "codi-minimal @ git+{REPOSITORY}"')]


def test_a_picture_comes_within_two_hundred_words(path):
    words = 0
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "markdown":
            before, picture, _ = re.sub(r"^\[!.*colab.*$", "", cell.source, flags=re.MULTILINE).partition("![")
            words += len(before.split())
            if picture:
                break
        elif any("image/png" in output.get("data", {}) for output in cell.outputs):
            break
    assert words <= 200


@pytest.mark.parametrize("number", MOVING)
def test_clips_move_and_sound_plays(number):
    (path,) = [path for path in NOTEBOOKS if number_of(path) == number]
    outputs = [output for cell in code(nbformat.read(path, as_version=4)) for output in cell.outputs]
    html = "".join("".join(output.get("data", {}).get("text/html", "")) for output in outputs)
    assert "data:video/mp4;base64," in html
    assert "<audio" in html or number not in ("00", "04")


@pytest.mark.parametrize(("number", "label"), SLIDERS)
def test_sliders_are_committed_as_rows_of_pictures(number, label):
    (path,) = [path for path in NOTEBOOKS if number_of(path) == number]
    cells = [cell for cell in code(nbformat.read(path, as_version=4)) if re.search(r"\bexplore\(", cell.source)]
    assert [cell for cell in cells if re.search(rf'explore\([^"]*"{label}"', cell.source)]
    for cell in cells:
        assert [list(output.data) for output in cell.outputs if "data" in output] == [["image/png", "text/plain"]]


FIGURES = tomllib.loads(Path(__file__).with_name("figures.toml").read_text(encoding="utf-8"))["figure"]


def number(pattern: str, outputs: str) -> float:
    """The group of a pattern in the outputs, as a number."""
    found = re.search(pattern, outputs)
    assert found, f"no output has {pattern!r}"
    return float(found[1])


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: f"{figure['notebook']}: {figure['says'][:40]}")
def test_the_outputs_bear_out_what_the_prose_says(figure):
    (path,) = [path for path in NOTEBOOKS if number_of(path) == figure["notebook"]]
    notebook = nbformat.read(path, as_version=4)
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert figure["says"] in " ".join(prose.split()), "the prose says so no more: mend figures.toml"
    outputs = "".join(output.get("text", "") for cell in code(notebook) for output in cell.outputs)
    value = number(figure["shown"], outputs)
    if "than" in figure:
        assert value >= number(figure["than"], outputs) + figure.get("by", 0)
    else:
        assert figure["least"] <= value <= figure["most"]
