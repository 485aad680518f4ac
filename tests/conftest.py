"""What several rooms' tests share: where the real data is, if it is anywhere."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: models this small gain nothing from more

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real recordings: CODI_DATA, or ../shared/data; without it, the test is skipped."""
    folder = Path(os.environ.get("CODI_DATA") or ROOT.parent / "shared" / "data")
    if not (folder / "mnist-train.parquet").is_file():
        pytest.skip(f"no mnist-train.parquet in {folder}: set CODI_DATA")
    return folder
