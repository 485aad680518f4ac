"""Badge and set-up are written into a notebook once, and its own text stays."""

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from docs import links


def test_badge_and_set_up_are_written_once_and_the_text_stays(tmp_path):
    (tmp_path / "notebooks").mkdir()
    path = tmp_path / "notebooks" / "x.ipynb"
    cells = [new_markdown_cell("# A title\n\n**Goal** See it."), new_code_cell("print(1)")]
    nbformat.write(new_notebook(cells=cells), path)
    links.write(path)
    written = path.read_bytes()
    links.write(path)
    assert path.read_bytes() == written
    first, setup, last = nbformat.read(path, as_version=4).cells
    title, badge, text = first.source.split("\n\n")
    assert (title, text, last.source) == ("# A title", "**Goal** See it.", "print(1)") and setup.metadata.tags == [
        "setup"
    ]
    place = links.REPOSITORY.removeprefix("https://github.com/") + "/blob/main/notebooks/x.ipynb"
    assert badge.endswith(f"(https://colab.research.google.com/github/{place})")


@pytest.mark.parametrize("cells", [[], [new_code_cell("# x")], [new_markdown_cell("no title")]])
def test_a_notebook_without_a_title_is_refused(tmp_path, cells):
    nbformat.write(new_notebook(cells=cells), tmp_path / "x.ipynb")
    with pytest.raises(ValueError, match="x.ipynb: expected a first cell of markdown that begins with '# '"):
        links.write(tmp_path / "x.ipynb")
