"""The contact sheet: it draws every item, and copes with any number of rows, prompts and characters."""

import matplotlib.text
import pytest
from PIL import Image

from codi_minimal.sheet import contact_sheet, draw_sheet
from tests.models import PROMPTS


def row(outputs, **prompts):
    return {"title": "all", "prompts": prompts, "outputs": outputs}


def words(rows, **options):
    """Everything that is written on the page."""
    texts = draw_sheet(rows, **options).findobj(matplotlib.text.Text)
    return [text.get_text() for text in texts if text.get_text()]


def test_every_item_is_drawn_and_the_page_grows_with_rows(tmp_path):
    full = row(PROMPTS, **{name: [item] for name, item in PROMPTS.items()})
    sizes, inks = [], []
    for rows in ([full], [full, {**full, "outputs": {}}], [full, full]):
        with Image.open(contact_sheet(rows, tmp_path / "sheet.png")) as page:
            sizes.append(page.size)
            inks.append(sum(count for count, _ in page.convert("L").point(lambda v: v < 250).getcolors()[1:]))
    assert sizes[0][0] == sizes[1][0] and sizes[0][1] < sizes[1][1] == sizes[2][1]
    assert inks[0] < inks[1] < inks[2]


def test_of_many_rows_the_first_are_drawn_and_the_page_says_so():
    rows = [row({"text": f"sample {i}"}) for i in range(21)]
    assert not any("first" in text for text in words(rows[:20]))
    drawn = words(rows)
    assert "“sample 19”" in drawn and "“sample 20”" not in drawn and "the first 20 of 21 samples" in drawn
    assert "the first 1 of 1000 samples" in words(rows[:1], count=1000)
    assert draw_sheet(rows).get_figheight() == draw_sheet(rows[:20]).get_figheight()


@pytest.mark.parametrize(
    ("n", "drawn", "rest"), [(0, 0, "nothing"), (8, 8, None), (9, 7, "and 2 more"), (30, 7, "and 23 more")]
)
def test_of_many_prompts_the_first_are_drawn_and_the_rest_counted(n, drawn, rest):
    found = words([row({}, text=[f"prompt {i}" for i in range(n)])])
    assert sum("prompt" in text for text in found) == drawn
    assert (found[-1] == rest) or (rest is None and "more" not in found[-1])


def test_thirty_prompts_of_each_kind_fit_on_a_page(tmp_path):
    contact_sheet([row(PROMPTS, **{name: [item] * 30 for name, item in PROMPTS.items()})], tmp_path / "sheet.png")


@pytest.mark.parametrize("caption", [r"$\frac{ seven $", "seven $^$ red", "$seven$"])
def test_a_dollar_is_a_dollar(caption, tmp_path):
    contact_sheet([row({"text": caption}, text=[caption])], tmp_path / "sheet.png")
    assert f"“{caption}”" in [text.replace("\n", " ") for text in words([row({"text": caption})])]
    figure = draw_sheet([row({"text": caption})])
    assert not any(text.get_parse_math() for text in figure.findobj(matplotlib.text.Text) if "$" in text.get_text())


def test_characters_that_no_font_has_are_drawn_without_a_word(tmp_path, recwarn):
    captions = ["seven \udcff", "seven \x07\x00", "\u6570 \U0001f600"]
    contact_sheet([row({"text": caption}, text=[caption]) for caption in captions], tmp_path / "sheet.png")
    assert not recwarn.list


def test_a_long_caption_is_cut():
    (caption,) = (text for text in words([row({"text": "seven " * 5000})]) if "seven" in text)
    assert caption.count("\n") == 7 and caption.endswith(" …")


def test_what_cannot_be_drawn_is_refused(tmp_path):
    with pytest.raises(ValueError, match="at least one row"):
        contact_sheet([], tmp_path / "sheet.png")
    with pytest.raises(ValueError, match="smell"):
        contact_sheet([{"title": "", "prompts": {}, "outputs": {"smell": 1}}], tmp_path / "sheet.png")
