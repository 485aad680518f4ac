"""`make mutants`: applies each wrong edit to a copy of the tree, and requires that some test fails.

The edits are in edits.toml. The tests of an edit are those of the file's room, see `COVER`. An edit
whose old text is not in its file exactly once is an error, so the list cannot go stale in silence.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10, where pytest brings its forerunner
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
COPIED = ("codi_minimal", "tests", "pyproject.toml")
DATA = Path(os.environ.get("CODI_DATA") or ROOT.parent / "shared" / "data")  # as tests/conftest.py finds it
HEAVY = ("torch", "torchaudio", "torchvision", "einops", "numpy", "pytest", "safetensors.torch", "scipy", "sklearn")
SECONDS = 600  # for the tests of one edit
FAILED = 1  # pytest's exit code; others are errors of its own, such as an edit that is no Python
# tests of each room, or of a module at the top, the quickest that can fail first
COVER = {
    "diffusion": ("tests/diffusion", "tests/test_losses.py"),
    "autoencoders": ("tests/test_losses.py", "tests/autoencoders", "tests/training/test_identity.py"),
    "prompts": ("tests/test_losses.py", "tests/prompts"),
    "denoisers": ("tests/denoisers", "tests/training/test_learning.py"),
    "alignment": ("tests/test_losses.py", "tests/alignment", "tests/training/test_identity.py"),
    "ours": ("tests/ours", "tests/test_recipe.py", "tests/training/test_identity.py"),
    "data": ("tests/data", "tests/training/test_identity.py", "tests/ours/test_plain_english.py"),
    "media": ("tests/media", "tests/test_fitting.py"),
    "training": ("tests/training/test_identity.py", "tests/training"),
    "evaluation": ("tests/evaluation",),
    "experiments": ("tests/experiments",),
    "course": ("tests/course",),
    "play": ("tests/play/test_request.py", "tests/play/test_watch.py"),
    "": (
        "tests/test_layers.py", "tests/test_inputs.py", "tests/test_checkpoint.py", "tests/autoencoders/test_mel.py",
        "tests/prompts/test_encoders.py", "tests/test_codi.py", "tests/test_sample.py", "tests/test_given.py",
        "tests/test_recipe.py", "tests/test_reproducible.py", "tests/test_tokenizer.py",
        "tests/ours/test_plain_english.py",
    ),
    "fitting.py": ("tests/test_fitting.py",),
    "asked.py": ("tests/test_cli.py",),
    "benchmark.py": ("tests/test_benchmark.py",),
    "hub.py": ("tests/test_hub.py",),
}


class Edit(NamedTuple):
    """`old` becomes `new` in `file`; `why` says what is then wrong. Its tests may need the real recordings (`data`)."""

    file: str
    old: str
    new: str
    why: str
    data: bool = False


def edits() -> list[Edit]:
    """All edits of edits.toml."""
    listed = tomllib.loads(Path(__file__).with_name("edits.toml").read_text(encoding="utf-8"))
    return [Edit(**edit) for edit in listed["edit"]]


def tests_of(edit: Edit) -> tuple[str, ...]:
    """The paths of the tests that cover the edited file."""
    parts = Path(edit.file).parts
    return COVER.get(parts[1], COVER[""])


def applied(edit: Edit, tree: Path) -> str:
    """The edited file's text; ValueError if the old text is not there exactly once."""
    text = (tree / edit.file).read_text(encoding="utf-8")
    if (count := text.count(edit.old)) != 1:
        raise ValueError(f"{edit.file}: expected the old text once, found it {count} times: {edit.old!r}")
    return text.replace(edit.old, edit.new)


def outcome(edit: Edit | None, paths: Sequence[str]) -> tuple[str, float]:
    """"killed", "SURVIVED" or "ERROR", and the seconds that the tests took; without an edit they must pass."""
    start = time.monotonic()
    with copy_of_the_tree() as tree:
        if edit is not None:
            (tree / edit.file).write_text(applied(edit, tree), encoding="utf-8")
        process = multiprocessing.get_context("fork").Process(target=_run_tests, args=(tree, paths))
        process.start()
        process.join(SECONDS)
        if process.is_alive():
            process.kill()
            process.join()
    found = {0: "SURVIVED", FAILED: "killed"}.get(process.exitcode, "ERROR")
    return found, time.monotonic() - start


@contextlib.contextmanager
def copy_of_the_tree() -> Iterator[Path]:
    """A copy of the package and its tests in a temporary folder; the weights that ship are linked."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, tree / name, ignore=shutil.ignore_patterns("weights", "__pycache__"))
            else:
                shutil.copy(source, tree / name)
        (tree / "codi_minimal" / "weights").symlink_to(ROOT / "codi_minimal" / "weights")
        yield tree


def _run_tests(tree: Path, paths: Sequence[str]) -> None:
    """In the child: pytest on the copy; leaves with 0 only if all tests pass."""
    import pytest

    os.chdir(tree)
    sys.path = [str(tree), *(path for path in sys.path if Path(path or ".").resolve() != ROOT)]
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    if DATA.is_dir():
        os.environ["CODI_DATA"] = str(DATA.resolve())  # which lies beside the tree, not beside its copy
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
        code = pytest.main(["-x", "-q", "-p", "no:cacheprovider", "--no-header", "-c", "pyproject.toml", *paths])
    os._exit(int(code))


def _warm_up() -> None:
    """Imports what is heavy, and nothing of the package, before the children fork off."""
    for name in HEAVY:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs all edits, or a random sample; returns how many were not killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, help="only so many of the edits")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--unchecked", action="store_true", help="do not check that the tests pass without an edit")
    parser.add_argument("--only", default="", help="only edits of files whose path contains this")
    args = parser.parse_args(argv)
    chosen = [edit for edit in edits() if args.only in edit.file]
    chosen = chosen if args.sample is None else random.Random(args.seed).sample(chosen, args.sample)
    for edit in chosen:
        applied(edit, ROOT)
    for edit in [edit for edit in chosen if edit.data and not DATA.is_dir()]:
        chosen.remove(edit)
        print(f"not run, because its tests need the real recordings: {edit.file}: {edit.why}")
    left = 0
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn"), _warm_up) as pool:
        covers = [] if args.unchecked else list(dict.fromkeys(map(tests_of, chosen)))
        whole = [pool.submit(outcome, None, paths) for paths in covers]
        runs = [pool.submit(outcome, edit, tests_of(edit)) for edit in chosen]
        for paths, run in zip(covers, whole, strict=True):
            if run.result()[0] != "SURVIVED":
                raise SystemExit(f"expected tests that pass without any edit, but these do not: {' '.join(paths)}")
        for edit, run in zip(chosen, runs, strict=True):
            found, seconds = run.result()
            left += found != "killed"
            print(f"{found:8} {seconds:5.1f} s  {edit.file}: {edit.why}", flush=True)
    print(f"{len(chosen) - left} of {len(chosen)} killed")
    return left


if __name__ == "__main__":
    sys.exit(main())
