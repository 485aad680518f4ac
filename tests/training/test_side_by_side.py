"""Stages that do not need each other train at the same time, and come to the same as one after the other."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from codi_minimal.config import preset
from codi_minimal.training import side_by_side
from codi_minimal.training.order import KINDS, needs
from codi_minimal.training.side_by_side import train_side_by_side
from codi_minimal.training.stages import STAGES, train

ROOT = Path(__file__).parents[2]
SOME = ("autoencoder-image", "autoencoder-text", "prompts-text-image", "denoiser-image", "denoiser-text")


@pytest.fixture(autouse=True)
def built_in_sample(monkeypatch):
    monkeypatch.delenv("CODI_DATA", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def some_stages(**changes):
    config = preset("tiny")
    stages = {name: config.train.stages[name] for name in SOME}
    return replace(config, train=replace(config.train, stages=stages, **changes))


@pytest.mark.slow
def test_what_is_trained_side_by_side_is_what_is_trained_one_after_the_other(tmp_path):
    one = train(some_stages(), out=tmp_path / "one", progress=False)
    two = train_side_by_side(some_stages(), out=tmp_path / "two", progress=False, workers=2)
    for name, weight in one.state_dict().items():
        torch.testing.assert_close(two.state_dict()[name], weight, rtol=1e-6, atol=1e-6)
    files = [
        sorted(path.name for path in (tmp_path / way).iterdir() if not path.name.startswith((".", "side", "tb")))
        for way in ("one", "two")
    ]
    assert files[0] == files[1] and not (tmp_path / "two" / "side").exists()
    logs = [sorted((tmp_path / way / "log.jsonl").read_text().count(name) for name in SOME) for way in ("one", "two")]
    assert logs[0] == logs[1]


@pytest.mark.slow
def test_a_stage_that_fails_is_named_and_what_is_done_is_kept(tmp_path, capfd):
    out = tmp_path / "run"
    damaged = out / "side" / "prompts-text-image" / "prompts-text-image.state.safetensors"
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(b"no training state")
    with pytest.raises(ChildProcessError, match="expected the stage prompts-text-image to end well, got exit code 1"):
        train_side_by_side(some_stages(), out=out, progress=False, workers=1)
    assert (out / "autoencoder-image.json").exists() and not (out / "denoiser-image.json").exists()
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("prompts-text-image: expected")


def test_a_kill_while_a_stage_is_collected_leaves_its_log_lines_once(tmp_path, monkeypatch):
    stage = tmp_path / "side" / "toy"
    stage.mkdir(parents=True)
    for name in ("toy.png", "toy.safetensors", "toy.json"):
        (stage / name).write_text(name)
    (tmp_path / "log.jsonl").write_text("of another stage\n")
    (stage / "log.jsonl").write_text("one\ntwo\n")
    with monkeypatch.context() as context, pytest.raises(ZeroDivisionError):
        context.setattr(os, "replace", lambda *_: 1 / 0)
        side_by_side._collect("toy", tmp_path)
    assert not (tmp_path / "toy.json").exists()
    side_by_side._collect("toy", tmp_path)
    assert (tmp_path / "log.jsonl").read_text() == "of another stage\none\ntwo\n"
    assert (tmp_path / "toy.json").exists() and not stage.exists()


@pytest.mark.slow
def test_a_signal_saves_all_stages_and_the_next_call_goes_on(tmp_path):
    """SIGTERM to the whole group, as a terminal or a scheduler sends it."""
    code = f"""
from dataclasses import replace

from codi_minimal.config import Stage, preset
from codi_minimal.training.side_by_side import train_side_by_side

if __name__ == "__main__":
    config = preset("tiny")
    stages = {{name: Stage(100_000, 4) for name in {SOME[:2]!r}}}
    config = replace(config, train=replace(config.train, stages=stages))
    train_side_by_side(config, out={str(tmp_path / "run")!r}, progress=False)
"""
    (tmp_path / "script.py").write_text(code)
    ways = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(tmp_path / "script.py")]
    begun, logs = [], [tmp_path / "run" / "side" / name / "log.jsonl" for name in SOME[:2]]
    for _ in range(2):
        with subprocess.Popen(command, env=ways, start_new_session=True, stderr=subprocess.PIPE, text=True) as process:
            wait_for_more(logs)
            os.killpg(process.pid, signal.SIGTERM)
            error = process.communicate(timeout=60)[1]
        assert process.returncode == -signal.SIGTERM and "exit code" not in error, error
        assert all((log.parent / f"{log.parent.name}.state.safetensors").exists() for log in logs)
        begun.append([json.loads(log.read_text().splitlines()[0])["step"] for log in logs])
        last = [json.loads(log.read_text().splitlines()[-1])["step"] for log in logs]
    assert begun[0] == begun[1]  # the log goes on
    assert min(last) > 20


def wait_for_more(logs: list[Path], seconds: float = 90) -> None:
    """Until each log has more lines than now."""

    def lines() -> list[int]:
        return [len(log.read_text().splitlines()) if log.exists() else 0 for log in logs]

    before, until = lines(), time.monotonic() + seconds
    while not all(now > had for now, had in zip(lines(), before, strict=True)):
        assert time.monotonic() < until
        time.sleep(0.2)


def test_a_stage_needs_what_it_starts_from_and_what_encodes_its_samples():
    names = list(STAGES)
    encoders = [name for name in names if name.startswith(("autoencoder", "vocoder", "prompts"))]
    denoisers = [name for name in names if name.startswith("denoiser")]
    assert needs("autoencoder-audio", names) == needs("prompts-text-image", names) == []
    assert needs("prompts-text-video", names) == needs("prompts-text-audio", names) == ["prompts-text-image"]
    assert needs("vocoder", ["autoencoder-audio", "autoencoder-text", "vocoder"]) == ["autoencoder-audio"]
    assert needs("denoiser-audio", names) == needs("environment", names) == encoders
    assert needs("denoiser-video", names) == [*encoders, "denoiser-image"]
    assert needs("joint", names) == [*encoders, *denoisers, "environment"]
    assert needs("beside-text", names) == [*needs("joint", names), "joint"] == needs("beside-video", names)
    assert needs("an-edge", ["denoiser-image", "an-edge"]) == ["denoiser-image"]
    assert {name.split("-")[0] for name in names} == set(KINDS)


def test_the_first_bridge_of_own_pairs_is_what_the_others_are_aligned_to():
    names = ["autoencoder-audio", "prompts-text-audio", "prompts-text-video"]
    assert [needs(name, names) for name in names] == [[], [], ["prompts-text-audio"]]


def test_fewer_workers_than_one_are_refused_and_ranks(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="expected workers >= 1, got 0"):
        train_side_by_side(some_stages(), out=tmp_path, workers=0)
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(ValueError, match="expected either ranks, started by torchrun, or stages side by side"):
        train_side_by_side(some_stages(), out=tmp_path)
