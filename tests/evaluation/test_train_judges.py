"""What the training of judges refuses before it has cost anything."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from codi_minimal.evaluation import train_judges as room
from codi_minimal.evaluation.train_judges import train_classifiers
from codi_minimal.lock import alone_in


@pytest.fixture(autouse=True)
def nothing_is_trained(monkeypatch):
    monkeypatch.setattr(room, "_fit", lambda *_: pytest.fail("trained"))


@pytest.fixture
def source(source):
    return replace(source, split="train")


@pytest.mark.parametrize("split", ["validation", "test"])
def test_judges_never_see_validation_or_test(source, tmp_path, split):
    with pytest.raises(ValueError, match=f"expected data of the split train for judges, got {split}"):
        train_classifiers(replace(source, split=split), tmp_path)


@pytest.mark.parametrize("seed", [-1, 2**63, 0.5])
def test_a_seed_out_of_range(source, tmp_path, seed):
    with pytest.raises(ValueError, match=f"seed: expected an integer .*got {seed}"):
        train_classifiers(source, tmp_path / "new", seed)
    assert not (tmp_path / "new").exists()


def test_a_folder_that_is_a_file(source, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        train_classifiers(source, tmp_path / "file")


def test_a_folder_in_which_others_are_trained(source, tmp_path):
    with alone_in(tmp_path), ThreadPoolExecutor(1) as pool:
        error = pool.submit(train_classifiers, source, tmp_path).exception()
    assert isinstance(error, ValueError) and "for this run alone" in str(error)
