"""The page beside the paper names functions and tests that exist; the site builds without a warning or a network."""

import ast
import json
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = "".join((ROOT / "docs" / page).read_text(encoding="utf-8") for page in ("paper.md", "read.md"))
REFERENCES = re.findall(r"`([\w/]+\.py)(?:::(\w+))?`", PAGES)
NUMBERS = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten")
OURS = [(path, name) for path, name in REFERENCES if path.startswith(("codi_minimal/", "tests/"))]


@cache
def names(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}


@pytest.mark.parametrize(("path", "name"), sorted(set(OURS)))
def test_what_the_pages_name_exists(path, name):
    assert (ROOT / path).is_file()
    assert not name or name in names(path)


def test_every_module_has_its_place_in_the_api():
    pages = "\n".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs" / "api").glob("*.md"))
    package = ROOT / "codi_minimal"
    for path in package.rglob("*.py"):
        module = ".".join(path.relative_to(package).with_suffix("").parts)
        if path.stem not in ("__init__", "__main__", "arguments", "cli", "demo"):
            assert f"automodule:: codi_minimal.{module}\n" in pages, module


def test_the_readme_has_the_minutes_of_the_notebooks():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    written = dict(re.findall(r"^\| \[\d\db?\]\((notebooks/\S+\.ipynb)\) \| .* \| (\d+) \|$", readme, re.MULTILINE))
    assert len(written) == len(list((ROOT / "notebooks").glob("*.ipynb")))
    for path, minutes in written.items():
        first = "".join(json.loads((ROOT / path).read_text(encoding="utf-8"))["cells"][0]["source"])
        assert re.search(r"\*\*Time\*\* (\w+) minutes", first)[1] == NUMBERS[int(minutes)], path


def test_the_model_card_has_the_steps_of_the_config():
    folder = ROOT / "codi_minimal" / "weights" / "small"
    stages = json.loads((folder / "config.json").read_text(encoding="utf-8"))["config"]["config"]["train"]["stages"]
    card = (folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    runs = dict(re.findall(r"^\| ([a-z-]+) \| ([\d+ ]+) \|", card, re.MULTILINE))
    assert {stage: sum(map(int, steps.split("+"))) for stage, steps in runs.items()} == {
        stage: settings["steps"] for stage, settings in stages.items()
    }


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    pytest.importorskip("myst_nb", reason="the extra `docs` is not installed")
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-c", "docs", ".", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out


def test_every_local_link_and_picture_of_the_site_exists(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        html = page.read_text(encoding="utf-8")
        for link in re.findall(r'(?:href|src)="([^"#?]+)', html):
            if not re.match(r"[a-z]+:", link):
                assert (page.parent / link).exists(), f"{page.relative_to(site)} → {link}"


def test_formulas_need_no_script_and_no_network(site):
    html = (site / "docs" / "paper.html").read_text(encoding="utf-8")
    assert "<math" in html and not re.search(r"<script[^>]*mathjax", html, re.IGNORECASE)
    assert not re.findall(r'<(?:script|link)[^>]*(?:src|href)="https?:[^"]*\.(?:js|css)', html)


@pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed")
@pytest.mark.parametrize("page", ["docs/index", "docs/paper", "notebooks/08_joint", "docs/api/alignment"])
def test_a_browser_shows_it_without_a_complaint(site, page, tmp_path):
    picture = tmp_path / "page.png"
    done = subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1400,1800", "--enable-logging=stderr",
         f"--screenshot={picture}", (site / f"{page}.html").as_uri()],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert picture.stat().st_size > 20_000
    assert "CONSOLE" not in done.stderr, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def test_no_formula_shows_tex_and_numbers_stand_apart(site):
    formulas = []
    for page in site.rglob("*.html"):
        formulas += re.findall(r"<math.*?</math>", page.read_text(encoding="utf-8"), re.DOTALL)
    assert len(formulas) > 300
    for formula in formulas:
        assert not re.search(r">[^<]*\\", formula), formula
    first = next(site.glob("notebooks/01_*.html")).read_text(encoding="utf-8")
    assert '<span class="tag">(1)</span></div>' in first and "‖" in first
    assert (site / "_static" / "maths.woff2").stat().st_size > 50_000


def test_a_formula_with_an_unknown_command_is_a_warning(tmp_path):
    pytest.importorskip("myst_nb", reason="the extra `docs` is not installed")
    (tmp_path / "conf.py").write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT / 'docs')!r})\nextensions = ['myst_nb', 'mathml']\n"
        "html_math_renderer = 'mathml'\nmyst_enable_extensions = ['dollarmath']\n"
    )
    (tmp_path / "index.md").write_text("# A page\n\n$\\nosuchcommand x$\n")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", str(tmp_path), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode != 0 and "unknown in a formula: \\nosuchcommand" in done.stderr
