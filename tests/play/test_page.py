"""The page in a headless Chromium: type, draw, bring files, generate, replay, save, err; two visitors; a phone."""

import io
import os
import time
import zipfile

import pytest
import torch

from codi_minimal import media
from tests.machine import CHROMIUM
from tests.media.making import drawing, film
from tests.models import random_codi

gradio = pytest.importorskip("gradio")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the path"),
    pytest.mark.filterwarnings("always::codi_minimal.inputs.PromptWarning"),  # as `launch` has it
]
WAIT = 20_000  # ms


@pytest.fixture(scope="module")
def address():
    """A page of a model with random weights, which takes three steps beside others as alone."""
    from codi_minimal.play.page import launch

    blocks = launch(random_codi(), block=False)
    yield blocks.local_url
    blocks.close()


def visit(browser, address, width=1280, height=1000):
    """A new visitor, to whom nothing comes from any other address."""
    page = browser.new_context(viewport={"width": width, "height": height}, accept_downloads=True).new_page()
    page.set_default_timeout(WAIT)
    page.asked = []
    page.on("request", lambda request: page.asked.append(request.url))
    page.goto(address)
    page.wait_for_selector("#generate")
    page.get_by_text("Nothing is brought").wait_for()
    return page


@pytest.fixture
def page(browser, address):
    page = visit(browser, address)
    yield page
    page.context.close()


def pick(page, *names):
    """Make these alone."""
    for name in ("text", "image", "audio", "video"):
        box = page.locator("#outputs").get_by_label(name, exact=True)
        if box.is_checked() != (name in names):
            box.click()


def made(page, button="#generate"):
    page.click(button)
    page.wait_for_selector("#result .save")
    return page.locator("#result figcaption").all_inner_texts()


def test_a_caption_becomes_all_four_and_the_run_is_replayed_and_saved(page, tmp_path):
    page.fill("#text textarea", "a red seven sliding left")
    page.click("#prompt-text")
    page.get_by_role("button", name="✕").wait_for()
    page.get_by_text("more", exact=True).click()
    page.locator("input[aria-label*='steps']").last.fill("4")
    assert made(page) == ["text", "image", "audio", "video"]
    assert page.locator("#result video").count() == 1 and page.locator("#result audio").count() == 1
    last = page.locator("#result").inner_html()
    slider = page.locator("#replay input[type=range]")
    slider.fill("0")
    page.wait_for_selector("#result progress")
    assert page.locator("#result .save").count() == 0
    slider.fill(slider.get_attribute("max"))
    page.wait_for_selector("#result .save")
    assert page.locator("#result").inner_html() == last
    with page.expect_download() as saved:
        page.click("#result .save")
    names = zipfile.ZipFile(io.BytesIO(saved.value.path().read_bytes())).namelist()
    assert set(names) == {"command.txt", "made-audio.wav", "made-image.png", "made-text.txt", "made-video.mp4"}
    assert not [url for url in page.asked if not url.startswith(("http://127.0.0.1", "data:", "blob:"))]


def test_what_is_not_understood_is_said_beside_the_box(page):
    page.fill("#text textarea", "a wooden purple 7")
    page.click("#prompt-text")
    page.locator("#problem-text").get_by_text("this world has no 'purple'").wait_for()
    page.fill("#text textarea", "hello there")
    page.click("#prompt-text")
    page.locator("#problem-text").get_by_text("expected a digit, a colour or a motion").wait_for()
    assert page.get_by_role("button", name="✕").count() == 1


def test_a_drawing_is_a_prompt(page):
    page.get_by_role("tab", name="Draw").click()
    page.click("#prompt-image")
    page.locator("#problem-image").get_by_text("blank picture").wait_for()
    canvas = page.locator("#sheet canvas").first
    canvas.wait_for()
    time.sleep(1)  # the sheet has no event for being ready
    box = canvas.bounding_box()

    def at(x, y):
        return box["x"] + x * box["width"], box["y"] + y * box["height"]

    page.mouse.move(*at(0.4, 0.3))
    page.mouse.down()
    for k in range(10):
        page.mouse.move(*at(0.4 + 0.2 * k / 9, 0.3))
    for k in range(10):
        page.mouse.move(*at(0.6 - 0.15 * k / 9, 0.3 + 0.4 * k / 9))
    page.mouse.up()
    time.sleep(1)
    page.click("#prompt-image")
    page.get_by_role("button", name="✕").wait_for()
    pick(page, "text")
    assert made(page) == ["text"]


def test_files_are_brought_and_bad_ones_are_answered_beside_their_box(page, tmp_path):
    drawing().save(tmp_path / "seven.png")
    media.write_wav(tmp_path / "me.wav", torch.sin(torch.arange(8192) / 4) * (torch.arange(8192) > 3000) / 2)
    film(tmp_path / "me.mp4", begins=1.4)
    (tmp_path / "bad.mp4").write_bytes(b"not a film")
    page.get_by_role("tab", name="Show").click()
    (tmp_path / "bad.png").write_bytes(b"no picture")
    page.locator("#photo input[type=file]").set_input_files(tmp_path / "bad.png")
    page.locator("#photo").get_by_text("⇣").first.wait_for()
    page.click("#prompt-photo")
    page.locator("#problem-photo").get_by_text("bad.png: expected a picture").wait_for()
    page.locator("#photo").get_by_label("Clear").click()
    page.locator("#photo").get_by_text("Drop").first.wait_for()
    page.locator("#photo input[type=file]").set_input_files(tmp_path / "seven.png")
    page.locator("#photo").get_by_text("⇣").first.wait_for()
    page.click("#prompt-photo")
    page.get_by_role("button", name="✕").wait_for()
    page.get_by_role("tab", name="Film").click()
    page.locator("#clip input[type=file]").set_input_files(tmp_path / "bad.mp4")
    page.locator("#clip").get_by_text("⇣").first.wait_for()
    page.click("#prompt-video")
    problem = page.locator("#problem-video").get_by_text("cannot be read")
    problem.wait_for()
    assert "bad.mp4" in problem.inner_text() and "/tmp" not in problem.inner_text()
    page.locator("#clip").get_by_label("Clear").click()
    page.locator("#clip").get_by_text("Drop").first.wait_for()
    page.locator("#clip input[type=file]").set_input_files(tmp_path / "me.mp4")
    page.locator("#clip").get_by_text("⇣").first.wait_for()
    page.locator("#start input").fill("1")
    for i, button in enumerate(("#given-video", "#prompt-sound"), 2):
        page.click(button)
        page.wait_for_function(f"document.querySelectorAll('div.brought > img, div.brought > audio').length == {i}")
    page.click("#generate")
    page.locator("#problem").get_by_text("expected none that is held, got video").wait_for()
    pick(page, "text")
    assert made(page) == ["text"]


def test_what_is_brought_can_be_held_instead_and_a_run_can_be_stopped(page):
    page.fill("#text textarea", "a red seven")
    page.click("#prompt-text")
    page.get_by_label("held").click()
    page.click("#generate")
    page.locator("#problem").get_by_text("expected none that is held, got text").wait_for()
    pick(page, "image")
    page.get_by_text("more", exact=True).click()
    page.get_by_label("number input for steps (0: the recipe's)").fill("100")
    page.click("#generate")
    page.wait_for_selector("#result progress")
    page.click("#clear")
    page.get_by_text("Nothing is brought").wait_for()
    time.sleep(2)
    assert page.locator("#result progress").count() == page.locator("#result .save").count() == 0


def test_three_ways_are_shown_below_each_other(page):
    pick(page, "text", "image")
    page.click("#compare")
    page.wait_for_function(
        "document.querySelectorAll('#result h3').length == 3 && !document.querySelector('#result progress')"
    )
    titles = page.locator("#result h3").all_inner_texts()
    assert titles == ["together", "one after another", "each by itself"]
    assert page.locator("#result figcaption").all_inner_texts() == ["text", "image"] * 3


def test_two_visitors_at_once_get_their_own_results(browser, address):
    visitors = [visit(browser, address) for _ in range(2)]
    for visitor, outputs in zip(visitors, (("text",), ("image",)), strict=True):
        pick(visitor, *outputs)
    for visitor in visitors:
        visitor.click("#generate")
    for visitor, outputs in zip(visitors, (["text"], ["image"]), strict=True):
        visitor.wait_for_selector("#result .save")
        assert visitor.locator("#result figcaption").all_inner_texts() == outputs
    visitors[0].fill("#text textarea", "seven")
    visitors[0].click("#prompt-text")
    visitors[0].get_by_role("button", name="✕").wait_for()
    assert visitors[1].get_by_text("Nothing is brought").count() == 1
    for visitor in visitors:
        visitor.context.close()


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_screen(browser, address, width):
    page = visit(browser, address, width, 800)
    page.get_by_role("button", name="A silent film, held").click()
    page.get_by_role("button", name="✕").wait_for()
    pick(page, "text", "audio")
    made(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    if shots := os.environ.get("CODI_SCREENSHOTS"):
        page.screenshot(path=f"{shots}/{width}.png", full_page=True)
    page.context.close()
