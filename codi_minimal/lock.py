"""One writer in a folder: a lock that the operating system holds, so that a killed process leaves none behind."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

LOCK = ".lock"  # the file that locks its folder


def remove_leftovers(folder: Path) -> None:
    """Removes temporary files that a killed `atomic_write` left in a folder in which nobody else writes now."""
    for leftover in folder.glob(".*.????????.tmp"):
        leftover.unlink(missing_ok=True)


@contextmanager
def alone_in(folder: str | Path) -> Iterator[None]:
    """Inside the block no other process or thread can enter `alone_in` the same folder; this one may, again.

    The folder is made if it is missing, and `remove_leftovers` cleans it. ValueError: another process or thread is at
    work in it, or its .lock is a link or no ordinary file. OSError: it cannot be written.
    """
    folder = Path(folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise ValueError(f"expected an ordinary file, which locks the folder; {path} is none: remove it")
    try:
        held = FileLock(path, timeout=0, is_singleton=True).acquire()  # one object a path, which counts its entries
    except Timeout:
        alone = f"expected {folder} for this run alone; another one is at work in it"
        raise ValueError(f"{alone}: wait for it to end, or choose another folder") from None
    with held:
        remove_leftovers(folder)
        yield


@contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """Inside the block no other process can enter it with the same path; it waits until the other one is done."""
    with FileLock(path.with_name(f".{path.name}.lock")):
        yield
