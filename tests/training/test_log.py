import errno
import json
import sys
from types import SimpleNamespace

import pytest
import torch

from codi_minimal.training.log import Log


@pytest.fixture(autouse=True)
def no_tensorboard(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)


def test_lines_of_a_killed_run_and_lines_that_are_none_are_dropped(tmp_path):
    kept = ['{"stage": "a", "step": 4, "loss": NaN}', '{"stage": "b", "step": 99}', '{"step": 2, "stage": "a"}']
    dropped = ["3", "[1]", '{"step": 3}', '{"stage": "a", "step": "3"}', '{"stage": ["a"], "step": 3}', "null", "",
               '{"stage": "a", "step": 5}', "[" * 100_000, '{"stage": "a", "st']  # fmt: skip
    lines = [line.encode() for pair in zip(kept, dropped[:3], strict=True) for line in pair]
    lines += [b'{"stage": "\xff", "step": 1}', *(line.encode() for line in dropped[3:])]
    (tmp_path / "log.jsonl").write_bytes(b"\n".join(lines))
    log = Log(tmp_path, "a", start=4)
    log.add({"loss": torch.tensor(2.0)})
    log.add({"loss": torch.tensor(3.0)})
    assert log.write(6) == {"loss": 2.5}
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    assert lines[:-1] == kept and json.loads(lines[-1]) == {"stage": "a", "step": 6, "loss": 2.5}


def test_a_log_without_faults_is_left_alone(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"stage": "a", "step": 4}\n')
    before = path.stat().st_ino
    Log(tmp_path, "a", start=4)
    assert path.stat().st_ino == before


def test_a_full_disk_is_said_with_the_file(tmp_path, monkeypatch):
    log = Log(tmp_path, "a")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(json, "dumps", full)  # inside the block that writes
    with pytest.raises(OSError, match="No space left on device: '.*log.jsonl'"):
        log.write(1)


def test_what_is_no_file_is_refused_by_name(tmp_path):
    (tmp_path / "log.jsonl").mkdir()
    with pytest.raises(ValueError, match="log.jsonl is no ordinary file"):
        Log(tmp_path, "a")


@pytest.mark.parametrize("place", ["tb", "tb/a"])
def test_a_file_in_place_of_tensorboards_folder_is_refused_by_name(tmp_path, monkeypatch, place):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", SimpleNamespace(SummaryWriter=None))
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).touch()
    with pytest.raises(ValueError, match=f"at {tmp_path}/tb/a: remove the file there$"):
        Log(tmp_path, "a")
