import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from codi_minimal.lock import alone_in

CHILD = """
import sys, time
from codi_minimal.lock import alone_in
with alone_in(sys.argv[1]):
    print("in", flush=True)
    time.sleep(60)
"""


def test_a_process_is_alone_in_a_folder_until_it_is_killed(tmp_path):
    folder = tmp_path / "new" / "run"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", CHILD, str(folder)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "in\n"
        leftover = folder / ".x.json.1a2b3c4d.tmp"
        leftover.touch()
        with pytest.raises(ValueError, match="expected .*/new/run for this run alone.*choose another folder$"):
            alone_in(folder).__enter__()
        assert leftover.exists()  # it may still be written
        with alone_in(folder.parent):  # another folder
            pass
        child.send_signal(signal.SIGKILL)
    with alone_in(folder):
        assert not leftover.exists()


def test_who_is_in_may_come_in_again_but_no_other_thread(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def other():
        with alone_in(tmp_path):
            pass

    with ThreadPoolExecutor(1) as pool:
        with alone_in(tmp_path):
            with alone_in("."):  # the same folder
                pass
            assert isinstance(pool.submit(other).exception(), ValueError)
        assert pool.submit(other).exception() is None


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to("none"), os.mkfifo])
def test_a_lock_that_is_no_ordinary_file_is_refused_by_name(tmp_path, make):
    make(tmp_path / ".lock")
    with pytest.raises(ValueError, match=f"{tmp_path}/.lock is none: remove it$"), alone_in(tmp_path):
        pass


def test_what_is_no_folder_is_refused_by_name(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"), alone_in(tmp_path / "file"):
        pass
