"""The list of wrong edits fits the package, and a sample of it is killed; `make mutants` tries them all."""

import os
import sys

import pytest

from tests.mutants import run


def test_every_edit_applies_and_changes_its_file():
    listed = run.edits()
    assert len(listed) >= 60 and len({(edit.file, edit.old, edit.new) for edit in listed}) == len(listed)
    for edit in listed:
        assert run.applied(edit, run.ROOT) != (run.ROOT / edit.file).read_text(encoding="utf-8")
        assert all((run.ROOT / path).exists() for path in run.tests_of(edit))


def test_an_edit_that_no_longer_fits_is_an_error():
    with pytest.raises(ValueError, match="expected the old text once, found it 0 times"):
        run.applied(run.Edit("codi_minimal/codi.py", "no such text", "", ""), run.ROOT)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork") or sys.platform == "darwin", reason="forks after torch is imported")
def test_a_sample_is_killed(capsys):
    assert run.main(["--sample", "3", "--unchecked"]) == 0, capsys.readouterr().out
