"""What the cells of a notebook print is seen, and a cell that fails is an error with its text."""

import pytest

from tests.notebooks.cells import run


def test_cells_share_their_names_and_all_that_they_print_is_seen(tmp_path):
    cells = ["import os, sys", "x = os.environ['CODI_SCALE']", "print(x); print('to stderr', file=sys.stderr)"]
    printed = run([*cells, "print(os.getcwd())"], tmp_path, {"CODI_SCALE": "tiny"})
    assert "tiny" in printed and "to stderr" in printed and str(tmp_path) in printed


@pytest.mark.parametrize("cell", ["raise KeyError('lost')", "x ="])
def test_a_cell_that_fails_is_an_error_and_no_later_one_runs(tmp_path, cell):
    with pytest.raises(AssertionError) as error:
        run(["print('before')", cell, "print('after')"], tmp_path, {})
    assert cell in str(error.value) and "before" in str(error.value) and "'after'" not in str(error.value)
