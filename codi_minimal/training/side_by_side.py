"""Trains stages that do not need each other at the same time, each in a process of its own.

Small networks leave cores idle: two processes of one thread each do more steps than one process of two threads. On a
GPU the processes share the device. A stage trains in a folder of its own in OUT/side, and what it has made is then
moved to OUT.
"""

import os
import shutil
import signal
import sys
import threading
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch
from tqdm import tqdm

from codi_minimal.codi import CoDi
from codi_minimal.config import Config
from codi_minimal.device import best_device
from codi_minimal.inputs import check_whole
from codi_minimal.lock import alone_in
from codi_minimal.training.fit import deferred_signals
from codi_minimal.training.order import needs
from codi_minimal.training.stages import STAGES, Data, corpus_of, fitted_to, in_order, new_run, train


def train_side_by_side(
    config: str | Config = "small",
    data: Data = None,
    out: str | Path = "runs/small",
    device: str | None = None,
    seed: int = 0,
    progress: bool = True,
    workers: int = 2,
) -> CoDi:
    """As `train`, with up to `workers` stages at the same time. The result is the same up to rounding.

    On CPUs the processes share the cores: a stage that is alone when it starts has all of them. An interrupted call
    saves all stages in progress, and the next call goes on with them; `train` does not, but loads finished stages.
    Processes are spawned: call it under `if __name__ == "__main__":`, with data that can be pickled. On Windows an
    interrupted stage goes on from its last regular save.

    Raises:
        ValueError: as of `train`; workers < 1; a rank of torchrun.
        ChildProcessError: a stage failed; its error is on stderr.
    """
    if workers < 1:
        raise ValueError(f"expected workers >= 1, got {workers}")
    if "RANK" in os.environ:
        raise ValueError("expected either ranks, started by torchrun, or stages side by side, got both")
    best_device(device)  # a wrong one is an error here, and not in every process
    seed, out, config = check_whole("seed", seed, 0), Path(out), in_order(config)
    corpus = corpus_of(data, config.train.split_seed)
    names, cores = list(fitted_to(config, corpus).train.stages), torch.get_num_threads()
    running: dict[str, BaseProcess] = {}
    with alone_in(out), deferred_signals() as caught:
        try:
            while not caught and (left := [name for name in names if not (out / f"{name}.json").exists()]):
                ready = [name for name in left if name not in running and not set(needs(name, names)) & set(left)]
                for name in ready[: workers - len(running)]:
                    threads = max(1, cores // min(workers, len(ready) + len(running)))
                    args = (name, names, config, data, out, device, seed, threads)
                    running[name] = get_context("spawn").Process(target=_train_one, args=args, name=name)
                    running[name].start()
                wait([process.sentinel for process in running.values()], timeout=1)
                if caught:
                    break
                for name in [name for name, process in running.items() if process.exitcode is not None]:
                    if code := running.pop(name).exitcode:
                        raise ChildProcessError(f"expected the stage {name} to end well, got exit code {code}")
                    _collect(name, out)
                    if progress:
                        tqdm.write(f"{name}: done", file=sys.stderr)
        finally:  # those that are left save what they have done
            for process in running.values():
                process.terminate()
            for process in running.values():
                process.join()
        if not caught:
            shutil.rmtree(out / "side", ignore_errors=True)
    if caught:
        signal.raise_signal(caught[0])  # as if it came now
        raise KeyboardInterrupt(f"training was stopped by signal {caught[0]}, and saved")
    return train(config, corpus, out, device=device, seed=seed, progress=progress)


def _train_one(
    name: str, names: list[str], config: Config, data: Data, out: Path, device: str | None, seed: int, threads: int
) -> None:
    """Loads the stages that a stage needs, then trains it, in its own folder."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C goes to all processes; the first one passes it on
    threading.Thread(target=_end_with_the_first_process, daemon=True).start()
    torch.set_num_threads(threads)
    folder, needed = out / "side" / name, needs(name, names)
    try:
        with alone_in(folder):
            for other in needed:
                for end in ("json", "safetensors"):
                    shutil.copy2(out / f"{other}.{end}", folder)
            run = new_run(config, data, folder, device, seed, progress=False)
            run.caches = out
            for stage in (*needed, name):
                STAGES[stage].train(run)
            STAGES[name].show(run, name)
    except (ValueError, OSError, FloatingPointError) as error:
        sys.exit(f"{name}: {' '.join(str(error).split())}")


def _end_with_the_first_process() -> None:
    """Ends this process, which saves, when the one that started it is killed."""
    if (first := parent_process()) is not None:
        wait([first.sentinel])
        signal.raise_signal(signal.SIGTERM)


def _collect(name: str, out: Path) -> None:
    """Moves what a stage has made from its folder to that of the run; last its summary, which says that it is done."""
    folder = out / "side" / name
    if (folder / "tb").exists():
        shutil.copytree(folder / "tb", out / "tb", dirs_exist_ok=True)
    for end in ("png", "safetensors"):
        shutil.copy2(folder / f"{name}.{end}", out)
    lines = (folder / "log.jsonl").read_bytes()
    with open(out / "log.jsonl", "a+b") as log:
        log.seek(0)
        if lines not in log.read():  # as after a kill between here and the next line
            log.write(lines)
    os.replace(folder / f"{name}.json", out / f"{name}.json")
    shutil.rmtree(folder)
