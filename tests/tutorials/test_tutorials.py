"""Tutorials run from top to bottom at the tiny scale; all solutions pass the assignments, and no stub does."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
import torch

from codi_minimal.media import READERS_OF
from codi_minimal.media.folders import read_pairs
from docs.links import SETUP, badge
from tests.machine import MACHINE

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "tutorials"
NOTEBOOKS, PAGES = sorted(FOLDER.glob("*.ipynb")), sorted(FOLDER.glob("*.md"))
TUTORIALS = sorted(NOTEBOOKS + PAGES)
ASSIGNMENTS = FOLDER / "assignments"
STUBS = sorted(ASSIGNMENTS.glob("a?_*.py"))
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LONGEST, WIDEST = 20, 120  # lines of code in a block, blank ones apart; characters of a line
WIDE = 82  # characters of a line in a notebook's cell: wider ones scroll on the site


def cells(path: Path, kind: str) -> list:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == kind]


def prose(path: Path) -> str:
    """What a page says, or the markdown of a notebook."""
    if path.suffix == ".md":
        return path.read_text(encoding="utf-8")
    return "\n\n".join(cell.source for cell in cells(path, "markdown"))


def blocks(path: Path) -> Iterator[tuple[str, str]]:
    """The code that is executed: where it stands, and its source. The set-up cell is left out: it is IPython's."""
    if path.suffix == ".md":
        for block in BLOCK.finditer(text := prose(path)):
            yield f"{path.name}, line {text[: block.start(1)].count(chr(10)) + 1}", block[1]
    else:
        for cell in cells(path, "code"):
            if cell.source != SETUP.strip():
                yield f"{path.name}, cell {cell.execution_count}", cell.source


@pytest.fixture(params=TUTORIALS, ids=lambda path: path.stem)
def path(request) -> Path:
    return request.param


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request) -> Path:
    return request.param


def test_there_are_four_notebooks_and_three_pages():
    assert [path.name[:2] for path in NOTEBOOKS] == ["01", "02", "03", "04"]
    assert [path.name[:2] for path in PAGES] == ["05", "06", "07"]


@pytest.mark.slow
def test_it_runs_at_the_tiny_scale(path, tmp_path, monkeypatch):
    for name, value in {"CODI_SCALE": "tiny", "HF_HUB_OFFLINE": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("CODI_DATA", raising=False)  # the built-in sample is enough, and the same everywhere
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "tutorial"}
    with torch.random.fork_rng():
        for where, code in blocks(path):
            exec(compile(code, where, "exec"), namespace)


def test_its_blocks_are_short_and_its_text_names_no_machine(path):
    for where, code in blocks(path):
        lines = [line for line in code.splitlines() if line.strip()]
        assert len(lines) <= LONGEST, f"{where}: {len(lines)} lines"
        assert max(map(len, lines)) <= (WIDE if path in NOTEBOOKS else WIDEST), where
        assert "CODI_DATA" not in code, where
    assert not MACHINE.search(prose(path))


def test_it_is_committed_as_executed_from_top_to_bottom(notebook):
    executed = cells(notebook, "code")
    assert [cell.execution_count for cell in executed] == list(range(1, len(executed) + 1))
    outputs = [output for cell in executed for output in cell.outputs]
    assert not any(output.output_type == "error" or output.get("name") == "stderr" for output in outputs)
    assert any("image/png" in output.get("data", {}) for output in outputs)
    texts = "".join(output.get("text", "") for output in outputs)
    assert "finished before" not in texts, "it loaded what an earlier run had trained"
    assert "Warning" not in texts and not MACHINE.search(texts)
    assert notebook.stat().st_size <= 600_000


def test_it_opens_elsewhere(notebook):
    first, setup = nbformat.read(notebook, as_version=4).cells[:2]
    assert first.source.splitlines()[2] == badge(notebook)
    assert setup.source == SETUP.strip() and "**Time**" in first.source


def test_its_sections_end_with_what_can_go_wrong_and_where_to_read_on(path):
    sections = re.findall(r"^## (.+)$", prose(path), re.MULTILINE)
    assert sections[-2:] == ["What can go wrong", "Where to read on"]


def test_what_it_links_to_and_names_in_the_package_exists(path):
    text = prose(path)
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    files = re.findall(r"`((?:codi_minimal|tests|tutorials)/[\w/.]+)`", text)
    assert links
    for file in [*(path.parent / link for link in links), *(ROOT / name for name in files)]:
        assert file.exists(), file


def grade(folder: Path, *chosen: str) -> tuple[int, str]:
    """The exit code and the output of the command that students are given; `chosen`: of some assignments alone."""
    command = [sys.executable, "-m", "pytest", "-q", "--tb=line", "-p", "no:cacheprovider"]
    tests = [f"tutorials/assignments/test_{name}.py" for name in chosen] or ["tutorials/assignments"]
    env = os.environ | {"ASSIGNMENTS": str(folder)}
    done = subprocess.run([*command, *tests], cwd=ROOT, env=env, capture_output=True, text=True)
    return done.returncode, done.stdout


def test_each_assignment_has_a_test_and_a_solution_with_the_same_task():
    assert [stub.name[:2] for stub in STUBS] == [f"a{i}" for i in range(1, 10)]
    task = re.compile(r'^def .*?""".*?"""', re.MULTILINE | re.DOTALL)  # signature and docstring
    for stub in STUBS:
        assert (ASSIGNMENTS / f"test_{stub.name}").is_file()
        solution = (ASSIGNMENTS / "solutions" / stub.name).read_text(encoding="utf-8")
        asked = task.findall(stub.read_text(encoding="utf-8"))
        assert asked and all(text in solution for text in asked)


def test_the_page_for_teachers_names_each_assignment_with_its_session():
    page = (FOLDER / "05_teaching.md").read_text(encoding="utf-8")
    sessions = re.findall(r"^\| (\d)\. .*$", page, re.MULTILINE)
    assert sessions == [str(i) for i in range(1, 9)]
    rows = dict(zip(sessions, re.findall(r"^\| \d\. .*$", page, re.MULTILINE), strict=True))
    after = dict(re.findall(r"^\| `(a\d_\w+)\.py` \| session (\d) ", page, re.MULTILINE))
    assert list(after) == [stub.stem for stub in STUBS]
    assert all(f"`{name}`" in rows[session] for name, session in after.items())


def test_the_page_for_teachers_has_all_notebooks():
    page = (FOLDER / "05_teaching.md").read_text(encoding="utf-8")
    named = re.findall(r"\]\(\.\./notebooks/(\w+\.ipynb)\)", page)
    assert {*named} == {path.name for path in (ROOT / "notebooks").glob("*.ipynb")}


def test_all_solutions_pass():
    code, output = grade(ASSIGNMENTS / "solutions")
    assert code == 0, output
    assert "failed" not in output.splitlines()[-1]


def test_the_stubs_fail_in_every_test():
    code, output = grade(ASSIGNMENTS)
    assert code == 1, output
    last = output.splitlines()[-1]
    assert "failed" in last and "passed" not in last and "error" not in last, output


def test_a_wrong_answer_gets_a_hint_and_a_missing_one_is_named(tmp_path):
    solution = (ASSIGNMENTS / "solutions" / "a4_vae_loss.py").read_text(encoding="utf-8")
    assert "(0.5 * logvar).exp() * noise" in solution
    wrong = solution.replace("(0.5 * logvar).exp() * noise", "logvar.exp() * noise")
    (tmp_path / "a4_vae_loss.py").write_text(wrong, encoding="utf-8")
    code, output = grade(tmp_path, "a1_q_sample", "a4_vae_loss")
    assert code == 1
    assert "a1_q_sample.py was not handed in" in output
    assert "Hint: σ is the root of the variance" in output


def test_the_repositorys_own_run_does_not_collect_them():
    settings = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert re.search(r'^testpaths = \["tests", "codi_minimal"\]$', settings, re.MULTILINE)


def test_the_world_of_shapes_and_tones_is_one_of_pairs(tmp_path):
    subprocess.run([sys.executable, FOLDER / "shapes.py", tmp_path / "shapes", "60"], check=True)
    pairs = read_pairs(tmp_path / "shapes", READERS_OF["plain"], progress=False)
    assert {pairing: len(pairs.items_of(pairing)) for pairing in pairs.pairings} == {
        ("text", "image"): 20,
        ("text", "audio"): 20,
        ("image", "audio"): 20,
    }
    captions = pairs.all_captions()
    assert any(re.fullmatch(r"a (small|large) \w+ \w+( on the left)?", text) for text in captions)
    assert any(re.fullmatch(r"a (high|low) \w+ tone that \w+", text) for text in captions)
