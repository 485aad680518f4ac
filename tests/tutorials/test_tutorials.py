"""Every tutorial runs from top to bottom at the tiny scale; all solutions pass the assignments, and no stub does."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from codi_minimal.media import READERS_OF
from codi_minimal.media.folders import read_pairs
from tests.machine import MACHINE

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "tutorials"
TUTORIALS = sorted(FOLDER.glob("*.md"))
ASSIGNMENTS = FOLDER / "assignments"
STUBS = sorted(ASSIGNMENTS.glob("a?_*.py"))
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LONGEST = 20  # lines of code in a block, blank ones apart


def blocks(path: Path) -> Iterator[tuple[int, str]]:
    """The code blocks that are executed, each with the lines before it."""
    text = path.read_text(encoding="utf-8")
    for block in BLOCK.finditer(text):
        yield text[: block.start(1)].count("\n"), block[1]


@pytest.fixture(params=TUTORIALS, ids=lambda path: path.stem)
def path(request) -> Path:
    return request.param


def test_there_are_six():
    assert [path.name[:2] for path in TUTORIALS] == [f"{i:02d}" for i in range(1, 7)]


def test_it_runs_at_the_tiny_scale(path, tmp_path, monkeypatch):
    for name, value in {"CODI_SCALE": "tiny", "HF_HUB_OFFLINE": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("CODI_DATA", raising=False)  # the built-in sample is enough, and the same everywhere
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "tutorial"}
    with torch.random.fork_rng():
        for before, code in blocks(path):
            # as many empty lines in front, so that an error names the line of the file
            exec(compile("\n" * before + code, str(path), "exec"), namespace)


def test_its_blocks_are_short_and_its_text_names_no_machine(path):
    for before, code in blocks(path):
        lines = [line for line in code.splitlines() if line.strip()]
        assert len(lines) <= LONGEST, f"{path.name}:{before}: {len(lines)} lines"
        assert max(map(len, lines)) <= 120, f"{path.name}:{before}"
    assert not MACHINE.search(path.read_text(encoding="utf-8"))


def test_its_sections_end_with_what_can_go_wrong_and_where_to_read_on(path):
    sections = re.findall(r"^## (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert sections[-2:] == ["What can go wrong", "Where to read on"]


def test_what_it_links_to_and_names_in_the_package_exists(path):
    text = path.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link and "notebooks/" not in link]
    files = re.findall(r"`((?:codi_minimal|tests|tutorials)/[\w/.]+)`", text)
    assert links
    for file in [*(path.parent / link for link in links), *(ROOT / name for name in files)]:
        assert file.exists(), file


def grade(folder: Path) -> tuple[int, str]:
    """The exit code and the output of the command that students are given."""
    command = [sys.executable, "-m", "pytest", "-q", "--tb=line", "-p", "no:cacheprovider", "tutorials/assignments"]
    env = os.environ | {"ASSIGNMENTS": str(folder)}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    return done.returncode, done.stdout


def test_each_assignment_has_a_test_and_a_solution_with_the_same_task():
    assert len(STUBS) == 6
    task = re.compile(r'^def .*?""".*?"""', re.MULTILINE | re.DOTALL)  # signature and docstring
    for stub in STUBS:
        assert (ASSIGNMENTS / f"test_{stub.name}").is_file()
        solution = (ASSIGNMENTS / "solutions" / stub.name).read_text(encoding="utf-8")
        asked = task.findall(stub.read_text(encoding="utf-8"))
        assert asked and all(text in solution for text in asked)


def test_all_solutions_pass():
    code, output = grade(ASSIGNMENTS / "solutions")
    assert code == 0, output
    assert "failed" not in output.splitlines()[-1]


def test_the_stubs_fail_in_every_test():
    code, output = grade(ASSIGNMENTS)
    assert code == 1, output
    last = output.splitlines()[-1]
    assert "failed" in last and "passed" not in last and "error" not in last, output


def test_what_was_not_handed_in_is_said(tmp_path):
    code, output = grade(tmp_path)
    assert code == 1
    assert "a1_q_sample.py was not handed in" in output


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
