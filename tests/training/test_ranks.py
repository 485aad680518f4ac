"""Two ranks make the steps that one process would make on both their samples; a rank that is killed costs no more than
the steps since the last save.
"""

import copy
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from codi_minimal import CoDi
from codi_minimal.checkpoint import read_tensors
from codi_minimal.config import Stage, preset
from codi_minimal.data import TalkingDigits, load
from codi_minimal.device import seed_generator, step_seed
from codi_minimal.prompts import Temperature, clip_loss
from codi_minimal.training import fit as fit_room
from codi_minimal.training import joint as joint_room
from codi_minimal.training import prompts as prompt_room
from codi_minimal.training import ranks
from codi_minimal.training import streams as stream_room
from codi_minimal.training.fit import fit
from codi_minimal.training.run import Run
from codi_minimal.training.stages import STAGES, train
from codi_minimal.training.state import load_state
from tests.forked import FORKED
from tests.models import random_codi

ROOT = Path(__file__).parents[2]
SETTINGS = {"steps": 20, "lr": 1e-3, "progress": False}


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def with_ranks(n: int, work: Callable[[Path], None], folder: Path) -> None:
    """Runs work(folder) in n processes that find each other as those of torchrun do."""
    folder.mkdir(parents=True, exist_ok=True)
    port = str(free_port())
    ways = [{"RANK": str(r), "LOCAL_RANK": str(r), "WORLD_SIZE": str(n)} for r in range(n)]
    there = [way | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port} for way in ways]
    children = [FORKED.Process(target=as_rank, args=(variables, work, folder)) for variables in there]
    for child in children:
        child.start()
    for child in children:
        child.join(120)
        child.kill()
    assert [child.exitcode for child in children] == [0] * n


def as_rank(variables: dict[str, str], work: Callable[[Path], None], folder: Path) -> None:
    os.environ.update(variables | {"HF_HUB_OFFLINE": "1"})
    os.environ.pop("CODI_DATA", None)
    torch.set_num_threads(1)
    with ranks.joined("cpu"):
        work(folder)


# a toy that has both kinds of loss: a mean over samples, and one that compares all of them


class Toy(nn.ModuleDict):
    def __init__(self):
        torch.manual_seed(0)
        super().__init__({"x": nn.Linear(5, 8), "y": nn.Linear(3, 8), "never": nn.Linear(2, 2), "s": Temperature()})
        self.double()


def draw(n: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randn(n, 5, generator=generator, dtype=torch.float64)
    return x, x[:, :3] + 0.1 * torch.randn(n, 3, generator=generator, dtype=torch.float64)


def toy_step(toy: Toy, b: int, i: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
    x, y = draw(ranks.own_share(b), generator)
    u, v = (F.normalize(toy[name](part), dim=-1) for name, part in (("x", x), ("y", y)))
    con = clip_loss(ranks.rows_of_all(u, b), ranks.rows_of_all(v, b), toy["s"]())
    return {"loss": con + ranks.mean_of_all((u - v).square().mean(), b), "con": con}


def toy_of_rank(b: int, folder: Path) -> None:
    toy = Toy()
    result = fit(toy, partial(toy_step, toy, b), folder=folder, name="toy", log_every=1, in_turn=True, **SETTINGS)
    torch.save({"weights": toy.state_dict(), "losses": result.losses}, folder / f"of-{ranks.rank()}.pt")


@pytest.mark.parametrize("b", [8, 7])
def test_two_ranks_make_the_steps_of_one_process_with_the_samples_of_both(tmp_path, b):
    with_ranks(2, partial(toy_of_rank, b), tmp_path / "two")
    toy, lengths = Toy(), (b - b // 2, b // 2)

    def step(i, _):
        streams = ("batch", "batch of rank 1")
        parts = [draw(n, seed_generator(step_seed(0, i, name))) for n, name in zip(lengths, streams, strict=True)]
        x, y = (torch.cat(part) for part in zip(*parts, strict=True))
        u, v = (F.normalize(toy[name](part), dim=-1) for name, part in (("x", x), ("y", y)))
        con = clip_loss(u, v, toy["s"]())
        return {"loss": con + (u - v).square().mean(), "con": con}

    result = fit(toy, step, folder=tmp_path / "one", name="toy", log_every=1, **SETTINGS)
    found = [torch.load(tmp_path / "two" / f"of-{r}.pt") for r in (0, 1)]
    for name, weight in toy.state_dict().items():
        torch.testing.assert_close(found[0]["weights"][name], weight, rtol=1e-9, atol=1e-12)
        assert torch.equal(found[0]["weights"][name], found[1]["weights"][name])
    assert found[0]["losses"] == found[1]["losses"] == pytest.approx(result.losses, rel=1e-6)
    logged = [(tmp_path / way / "log.jsonl").read_text().count("\n") for way in ("one", "two")]
    assert logged == [20, 20]  # one rank writes


def killed_once(folder: Path) -> None:
    """Rank 1 is killed in step 12, unless torchrun has started it anew; the files "begun-" get all steps begun."""

    def step(i, generator):
        with open(folder / f"begun-{ranks.rank()}", "a") as file:
            file.write(f"{i} ")
        if i == 12 and ranks.rank() == 1 and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
            os.kill(os.getpid(), signal.SIGKILL)
        return toy_step(toy, 8, i, generator)

    with ranks.joined("cpu"):
        toy = Toy()
        fit(toy, step, folder=folder, name="toy", save_seconds=0, in_turn=True, **SETTINGS)


@pytest.mark.slow
def test_a_rank_that_is_killed_costs_one_step_and_torchrun_goes_on(tmp_path):
    script, folder = tmp_path / "script.py", tmp_path / "run"
    folder.mkdir()
    script.write_text(f"""
from pathlib import Path

from tests.training.test_ranks import killed_once

killed_once(Path({str(folder)!r}))
""")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    ways = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*torchrun, "--max-restarts", "1", str(script)], env=ways, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    for r in (0, 1):
        assert (folder / f"begun-{r}").read_text().split() == [*map(str, range(13)), *map(str, range(12, 20))]
    with_ranks(2, partial(toy_of_rank, 8), tmp_path / "whole")
    whole = torch.load(tmp_path / "whole" / "of-0.pt")["weights"]
    finished, _ = read_tensors(folder / "toy.safetensors")
    assert all(torch.equal(x, whole[name]) for name, x in finished.items())


def stopped_early(folder: Path) -> None:
    """The signal to stop comes to rank 1 alone, in step 9."""

    def stop(number, frame):
        raise KeyboardInterrupt

    toy = Toy()
    signal.signal(signal.SIGTERM, stop)

    def step(i, generator):
        if i == 9 and ranks.rank() == 1:
            signal.raise_signal(signal.SIGTERM)
        return toy_step(toy, 8, i, generator)

    with pytest.raises(KeyboardInterrupt):
        fit(toy, step, folder=folder, name="toy", in_turn=True, **SETTINGS)


def test_a_signal_to_one_rank_stops_all_and_another_number_of_ranks_goes_on(tmp_path):
    with_ranks(2, stopped_early, tmp_path)
    done, toy = [], Toy()

    def step(i, generator):
        done.append(i)
        return toy_step(toy, 8, i, generator)

    assert fit(toy, step, folder=tmp_path, name="toy", **SETTINGS).steps == 20
    assert done == list(range(10, 20))


# the stages themselves, against two threads that exchange live tensors in one graph


class Threads:
    """Two ranks as threads of one process: what one sees of the other has its gradient."""

    def __init__(self, monkeypatch):
        self.here, self.barrier, self.left = threading.local(), threading.Barrier(2), [None, None]
        monkeypatch.setattr(ranks, "rank", lambda: getattr(self.here, "rank", 0))
        monkeypatch.setattr(ranks, "ranks", lambda: 2 if hasattr(self.here, "rank") else 1)
        for room in (prompt_room, joint_room):
            monkeypatch.setattr(room, "rows_of_all", lambda x, n: torch.cat(self.exchange(x)))
        for room in (prompt_room, stream_room):
            monkeypatch.setattr(room, "texts_of_all", lambda texts: sum(self.exchange(list(texts)), []))

    def exchange(self, own):
        self.left[self.here.rank] = own
        self.barrier.wait()
        both = list(self.left)
        self.barrier.wait()
        return both

    def step(self, step, i, seed):
        found = [None, None]

        def work(r):
            self.here.rank = r
            found[r] = step(i, seed_generator(step_seed(seed, i, ("batch", "batch of rank 1")[r])))

        threads = [threading.Thread(target=work, args=(r,)) for r in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return {name: (found[0][name] + found[1][name]) / 2 for name in found[0]}


def tiny_run(stage: str, folder: Path) -> Run:
    model = copy.deepcopy(random_codi())
    plan = replace(preset("tiny").train, stages={stage: Stage(4, 8)}, cache=32, video_cache=16)
    model.config = replace(model.config, train=plan)
    return Run(model, TalkingDigits(load()), folder, progress=False)


def recorded(fit_room, seen: list[float]) -> None:
    """Has the norm of all gradients of each step recorded."""
    clip = nn.utils.clip_grad_norm_

    def clipping(*args):
        seen.append(float(norm := clip(*args)))
        return norm

    fit_room.nn = SimpleNamespace(Module=nn.Module, utils=SimpleNamespace(clip_grad_norm_=clipping))


def stage_of_rank(stage: str, folder: Path) -> None:
    norms: list[float] = []
    recorded(fit_room, norms)
    STAGES[stage].train(tiny_run(stage, folder))
    (folder / f"norms-{ranks.rank()}.json").write_text(json.dumps(norms))


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["autoencoder-image", "prompts-text-image", "denoiser-image", "environment", "joint"])
def test_a_stage_makes_with_two_ranks_the_steps_of_one_process(tmp_path, monkeypatch, stage):
    """Four steps: after more of them AdamW has made much of differences in rounding."""
    monkeypatch.delenv("CODI_DATA", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with_ranks(2, partial(stage_of_rank, stage), tmp_path / "two")
    norms: list[float] = []
    monkeypatch.setattr(fit_room, "nn", nn)  # so that it comes back
    recorded(fit_room, norms)
    run, threads, real = tiny_run(stage, tmp_path / "one"), Threads(monkeypatch), Run.fit

    def fit_both(run, name, modules, step, **how):
        return real(run, name, modules, lambda i, _: threads.step(step, i, run.seed), **how)

    monkeypatch.setattr(Run, "fit", fit_both)
    STAGES[stage].train(run)
    one, two = (json.loads((tmp_path / way / f"{stage}.json").read_text())["losses"] for way in ("one", "two"))
    assert two == pytest.approx(one, rel=1e-4)
    for r in (0, 1):
        found = json.loads((tmp_path / "two" / f"norms-{r}.json").read_text())
        assert len(found) == 4 and found == pytest.approx(norms, rel=1e-3)
        assert found[0] == pytest.approx(norms[0], rel=1e-5)


@pytest.mark.slow
def test_the_documented_command_goes_on_from_one_process_and_one_process_from_it(tmp_path, monkeypatch):
    monkeypatch.delenv("CODI_DATA", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    out, names = tmp_path / "run", list(preset("tiny").train.stages)
    train("tiny", out=out, device="cpu", stages=names[:1], progress=False)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--master-port", str(free_port())]
    command = ["--nproc-per-node", "2", "-m", "codi_minimal", "train", "--preset", "tiny", "--device", "cpu"]
    ways = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*torchrun, *command, "--out", str(out)], env=ways, capture_output=True, text=True, timeout=400
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [str(out)]  # one rank speaks
    train("tiny", out=out, device="cpu", progress=False)
    assert {path.stem for path in out.glob("*.png")} == set(names)
    assert [json.loads(line)["stage"] for line in (out / "log.jsonl").read_text().splitlines()] == names
    made = CoDi.from_pretrained(out / "model", device="cpu").generate({}, "image", steps=1)["image"]
    assert made.isfinite().all()


def crowded_of_rank(folder: Path) -> None:
    config = preset("tiny")
    stages = {name: Stage(4, 8) for name in config.train.stages} | {"joint": Stage(4, 1)}
    with pytest.raises(ValueError, match="at least one sample for each of 2 ranks, got one of 1"):
        train(replace(config, train=replace(config.train, stages=stages)), out=folder / "run", progress=False)
    assert not (folder / "run").exists()


def test_a_batch_that_is_too_small_is_an_error_before_anything_is_trained(tmp_path):
    with_ranks(2, crowded_of_rank, tmp_path)


def apart_of_rank(folder: Path) -> None:
    """Each rank has an empty folder of its own."""
    mine, toy = folder / str(ranks.rank()), Toy()
    with pytest.raises(ValueError, match=r"one folder that all ranks share, got .*lock with the inode"):
        fit(toy, partial(toy_step, toy, 8), folder=mine, name="toy", in_turn=True, **SETTINGS)


def late_of_rank(folder: Path) -> None:
    """Rank 1 does not see the last save yet."""
    if ranks.rank():
        fit_room.load_state = lambda *args: (replace(load_state(*args)[0], steps=0), {})
    toy = Toy()
    with pytest.raises(ValueError, match=r"one folder that all ranks share, got steps done: 10 and \[10, 0\]"):
        fit(toy, partial(toy_step, toy, 8), folder=folder, name="toy", in_turn=True, **SETTINGS)


def test_ranks_with_folders_of_their_own_are_refused(tmp_path):
    with_ranks(2, apart_of_rank, tmp_path)


def test_ranks_that_see_other_saves_are_refused(tmp_path):
    with_ranks(2, stopped_early, tmp_path)
    with_ranks(2, late_of_rank, tmp_path)


def close_of_rank(folder: Path) -> None:
    """The rows of hard negatives of each step, from the first prompts of a cache of numbered samples."""
    run = tiny_run("environment", folder)
    draw, found = stream_room.open_streams(run, "environment"), []
    for i in range(12):
        pair = draw(i, seed_generator(step_seed(0, i, str(ranks.rank()))))
        if pair.alike:
            rows = ranks.rows_of_all(pair.prompts["video"], 8)
            found.append(len(rows.unique(dim=0)) == 8)
    assert found and all(found)


def test_no_sample_is_a_hard_negative_of_itself_on_another_rank(tmp_path):
    with_ranks(2, close_of_rank, tmp_path)


def test_more_ranks_than_samples_are_refused(monkeypatch):
    monkeypatch.setattr(ranks, "ranks", lambda: 3)
    with pytest.raises(ValueError, match="at least one sample for each of 3 ranks, got one of 2"):
        ranks.own_share(2)
    assert ranks.shares(8) == [3, 3, 2]


def test_rows_that_are_not_the_share_of_a_rank_are_refused(monkeypatch):
    monkeypatch.setattr(ranks, "ranks", lambda: 2)
    with pytest.raises(ValueError, match="expected 4 rows, this rank's share of 8, got 3"):
        ranks.rows_of_all(torch.zeros(3, 2), 8)
