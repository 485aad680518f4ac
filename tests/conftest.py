"""What several rooms' tests share: where the real data is, if it is anywhere, and a browser."""

import os
from pathlib import Path

import pytest

from tests.machine import CHROMIUM

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: models this small gain nothing from more

ROOT = Path(__file__).parents[1]
SLOWEST = ("mutants", "notebooks", "test_docs", "training", "play", "evaluation")
SLOW_FIXTURES = {"site", "installed"}  # the site built, and the wheel installed


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slowest rooms and files first, so that no process is left with one of them at the end.

    Tests that need a slow fixture are marked as slow.
    """
    for item in items:
        if SLOW_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)

    def turn(item: pytest.Item) -> int:
        names = {item.path.parent.name, item.path.stem}
        return next((i for i, name in enumerate(SLOWEST) if name in names), len(SLOWEST))

    items.sort(key=turn)


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium; without one, or without Playwright, the test is skipped."""
    api = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no chromium on the path")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real recordings: CODI_DATA, or ../shared/data; without it, the test is skipped."""
    folder = Path(os.environ.get("CODI_DATA") or ROOT.parent / "shared" / "data")
    if not (folder / "mnist-train.parquet").is_file():
        pytest.skip(f"no mnist-train.parquet in {folder}: set CODI_DATA")
    return folder
