"""Runs the cells of a notebook in a process of its own, forked from one that has imported the packages of others."""

import os
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from tests.forked import FORKED


def run(cells: Sequence[str], folder: Path, environment: dict[str, str], timeout: float = 300) -> str:
    """What the cells print, run one after the other in a folder; further cells are left out after one that fails.

    Raises:
        AssertionError: a cell raised an error or the cells took more than `timeout` seconds. It has what was printed.
    """
    here, there = FORKED.Pipe()
    process = FORKED.Process(target=_run, args=(list(cells), folder, environment, there), daemon=True)
    process.start()
    there.close()
    try:
        assert here.poll(timeout), f"the cells took more than {timeout} s"
        printed, failed = here.recv()
        process.join(timeout)
    finally:
        process.kill()
    assert failed is None, f"{printed}\n{failed}"
    return printed


def _run(cells: list[str], folder: Path, environment: dict[str, str], result: Connection) -> None:
    os.environ.update(environment)
    os.chdir(folder)
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output

    shell, failed = InteractiveShell.instance(), None
    with capture_output() as captured:
        for cell in cells:
            done = shell.run_cell(cell)
            if (error := done.error_before_exec or done.error_in_exec) is not None:
                failed = f"{cell}\n{error!r}"
                break
    result.send((captured.stdout + captured.stderr, failed))
