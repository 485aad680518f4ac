"""The page beside the paper names functions and tests that exist; the site builds without a warning or a network."""

import ast
import io
import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from docs.links import REPOSITORY
from tests.machine import CHROMIUM

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


def sections(path: Path) -> dict[str, str]:
    """{heading: the cells below it, up to the next heading} of a notebook."""
    found, heading = {}, ""
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        for line in cell["source"]:
            if cell["cell_type"] == "markdown" and re.match("#+ ", line):
                heading = line.strip("# \n").replace("**", "")
            found[heading] = found.get(heading, "") + line
    return found


def test_the_paper_points_to_cells_that_exist_and_speak_of_it():
    page = (ROOT / "docs" / "paper.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| (.*) \| `codi_minimal/\S+?(?:::(\w+))?` \|.*\| \[(\w+), (.+)\]\(\.\./(\S+)#(\S+)\) \|$", page, re.M
    )
    assert len(rows) == page.count("ipynb") == 47
    for row, name, number, heading, path, anchor in rows:
        assert Path(path).name.startswith(f"{number}_")
        assert heading not in ("Quiz", "Exercises", "For the teacher", "What comes next")
        assert anchor == re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
        text = sections(ROOT / path)[heading].lower()
        words = {word for word in re.findall("[a-z]{5,}", row.lower()) if word in text} - {"other", "where", "there"}
        assert name.lower() in text or len(words) >= 2, (row, heading)


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


@pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed")
@pytest.mark.parametrize("page", ["docs/index", "docs/paper", "notebooks/08_joint", "docs/api/alignment"])
def test_a_browser_shows_it_without_a_complaint(site, page, tmp_path):
    picture = tmp_path / "page.png"
    done = subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
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


# what a page shows: texts in TeX; what is beyond the edge, and in no box that scrolls; cells that are too narrow for
# their texts; and boxes of code without a button
LOOK = r"""() => {
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), tex = [], beyond = [];
    while (texts.nextNode()) {
        const { data, parentElement } = texts.currentNode;
        if (/^\s*\\/.test(data) && !parentElement.closest("code, pre, script, style, template")) tex.push(data);
    }
    const edge = document.documentElement.clientWidth + 1;
    const boxes = [...document.querySelectorAll("pre, .formula, .table-wrapper, .cell_output")].filter(
        (box) => getComputedStyle(box).overflowX === "auto" && box.getBoundingClientRect().right <= edge);
    for (const element of document.querySelectorAll("article, article *")) {
        const { width, right } = element.getBoundingClientRect();
        if (width && right > edge && !boxes.some((box) => box !== element && box.contains(element))) {
            beyond.push(element.outerHTML.slice(0, 200));
        }
    }
    for (const box of document.querySelectorAll("html, .page, .main, .content")) {
        if (box.scrollWidth > Math.max(box.clientWidth, edge)) beyond.push(box.className || "html");
    }
    const cells = [...document.querySelectorAll("article td")].filter((cell) => cell.textContent.length > 24);
    const narrow = cells.filter((cell) => cell.getBoundingClientRect().width < 100).map((cell) => cell.textContent);
    const code = [...document.querySelectorAll("article div.highlight")];
    const bare = code.filter((box) => !box.querySelector("button.copybtn"));
    return { tex, beyond, cells: cells.length, narrow, code: code.length, bare: bare.length };
}"""


@pytest.fixture(scope="module")
def telephone(site, browser):
    """What each page shows on a telephone, 390 pixels wide; of the listings of source, which are all alike, one."""
    page, found = browser.new_page(viewport={"width": 390, "height": 844}), {}
    listings = sorted(site.glob("_modules/**/*.html"))
    for path in sorted({*site.rglob("*.html")} - {*listings[1:]} - {site / "index.html"}):
        page.goto(path.as_uri())
        found[str(path.relative_to(site))] = page.evaluate(LOOK)
    page.close()
    assert len(found) > 40
    return found


def test_no_text_is_left_in_tex(telephone):
    assert not {page: found["tex"] for page, found in telephone.items() if found["tex"]}


def test_on_a_telephone_no_page_is_wider_than_the_window(telephone):
    assert not {page: found["beyond"][:3] for page, found in telephone.items() if found["beyond"]}


def test_on_a_telephone_no_cell_of_a_table_is_a_thin_column(telephone):
    assert telephone["docs/paper.html"]["cells"] > 150
    assert not {page: found["narrow"][:3] for page, found in telephone.items() if found["narrow"]}


def test_every_box_of_code_has_a_button_that_copies_it(telephone):
    assert not {page: found["bare"] for page, found in telephone.items() if found["bare"]}
    assert telephone["docs/index.html"]["code"] == 1 and telephone["notebooks/01_noise.html"]["code"] > 10


@pytest.fixture(scope="module")
def desktop(site, browser):
    """Opens a page in a window 1280 pixels wide, of two points a pixel."""
    page = browser.new_page(viewport={"width": 1280, "height": 900}, device_scale_factor=2)

    def show(name: str):
        page.goto(next(site.glob(f"{name}*.html")).as_uri())
        page.evaluate("document.fonts.ready")
        return page

    yield show
    page.close()


# of each bracket that grows with its content: the text between, its own height, and that of the tallest part between
BRACKETS = """() => [...document.querySelectorAll("mo[fence=true][stretchy=true]")].map((bracket) => {
    const height = (element) => element.getBoundingClientRect().height;
    const between = [...bracket.parentElement.children].filter((x) => x.getAttribute("fence") !== "true");
    return [bracket.parentElement.textContent, height(bracket), Math.max(...between.map(height))];
})"""


@pytest.mark.parametrize(
    ("page", "formula"),
    [("notebooks/01", r"‖[ϵε]−[ϵε]θ\(zt,t,C\)‖"), ("notebooks/06", "‖δ‖"), ("notebooks/08", r"‖[ϵε]−[ϵε]A\(.*\)‖")],
    ids=["DDPM's loss", "the modality gap", "L_Cross"],
)
def test_brackets_are_as_tall_as_what_they_enclose(desktop, page, formula):
    brackets = desktop(page).evaluate(BRACKETS)
    assert len([text for text, *_ in brackets if re.fullmatch(formula, text)]) >= 2
    assert not [bracket for bracket in brackets if bracket[1] < 0.95 * bracket[2]]


def test_a_root_covers_its_numerator_and_its_denominator(desktop):
    page = desktop("notebooks/02")
    roots = [root for root in page.query_selector_all("msqrt") if root.query_selector("mfrac")]
    assert roots
    for root in roots:
        inside, box = root.query_selector("mfrac").bounding_box(), root.bounding_box()
        ink = np.asarray(Image.open(io.BytesIO(root.screenshot())).convert("L")) < 128
        left = round(2 * (inside["x"] - box["x"]))
        rows = np.flatnonzero(ink[:, : left - 2].any(1))  # of the sign itself, which stands before the fraction
        assert rows[-1] - rows[0] >= 0.9 * 2 * inside["height"]
        bar = ink[: round(2 * (inside["y"] - box["y"])) + 2, left:]  # above the fraction
        assert bar.mean(1).max() > 0.9


def test_the_sounds_of_the_matrix_play(desktop):
    page = desktop("docs/index")
    buttons = page.query_selector_all(".matrix button")
    assert len(buttons) == 11
    for i, button in enumerate(buttons):
        assert re.match("play the voice ", button.get_attribute("aria-label"))
        button.focus()
        page.evaluate("document.querySelector('.matrix audio').removeAttribute('src')")
        if i % 2:
            button.click()
        else:
            page.keyboard.press("Enter")
        page.wait_for_function("document.querySelector('.matrix audio').duration > 0.9", timeout=10_000)
        source = page.evaluate("document.querySelector('.matrix audio').currentSrc")
        assert source.endswith(button.get_attribute("data-sound").removeprefix(".."))
        assert "playing" in button.get_attribute("class")
    page.wait_for_function("!document.querySelector('.matrix .playing')", timeout=10_000)


def test_the_buttons_of_the_matrix_are_over_its_cells_and_its_sounds_are_small():
    html = (ROOT / "docs" / "matrix.html").read_text(encoding="utf-8")
    with Image.open(ROOT / "docs" / "matrix.webp") as picture:
        white = np.asarray(picture.convert("RGB")).min(2) > 200
    height, width = white.shape
    places = re.findall(r"left:(.+?)%;top:(.+?)%;width:(.+?)%;height:(.+?)%", html)
    for left, top, wide, high in (map(float, place) for place in places):
        x0, x1 = round(left * width / 100), round((left + wide) * width / 100)
        y0, y1 = round(top * height / 100), round((top + high) * height / 100)
        assert white[y0 + 3 : y1 - 3, x0 + 3 : x1 - 3].mean() < 0.1  # what is in the cell is dark
        assert white[y0:y1, [x0 - 7, x1 + 6]].mean() > 0.9 and white[[y0 - 7, y1 + 6], x0:x1].mean() > 0.9
    sounds = sorted((ROOT / "docs" / "_static" / "matrix").glob("*.mp3"))
    assert {sound.name for sound in sounds} == {name.split("/")[-1] for name in re.findall(r'data-sound="(.+?)"', html)}
    assert sum(sound.stat().st_size for sound in sounds) < 100_000
    for sound in sounds:
        wave, rate = soundfile.read(sound)
        assert 0.95 < len(wave) / rate < 1.2 and abs(wave).max() > 0.1


def test_pages_lead_to_the_repository_and_notebooks_can_be_downloaded(site):
    notebooks = sorted((ROOT / "notebooks").glob("*.ipynb"))
    for path in notebooks:
        html = (site / "notebooks" / f"{path.stem}.html").read_text(encoding="utf-8")
        assert f'href="{REPOSITORY}"' in html and f"{REPOSITORY}/blob/main/notebooks/{path.name}" in html
        file = re.search(r'<p class="download"><a href="(.+?)" download', html)[1]
        assert (site / "notebooks" / file).read_bytes() == path.read_bytes()
    index = (site / "docs" / "index.html").read_text(encoding="utf-8")
    listed = re.findall(r'<li class="toctree-l1"><a [^>]*href="\.\./notebooks/(.+?)\.html"', index)
    assert listed[: len(notebooks)] == [path.stem for path in notebooks]  # 04, 04b, 05, 05b


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
