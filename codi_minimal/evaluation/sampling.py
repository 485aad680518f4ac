"""Asking a model for many samples: in batches, by one process or several, with one progress bar for all."""

import math
import multiprocessing
import os
import pickle
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from codi_minimal.batches import join


def part(data: Any, start: int, stop: int) -> Any:
    """Samples start … stop - 1 of a tensor or list of captions, or of each in a dict or list of them."""
    if isinstance(data, Mapping):
        return {name: part(value, start, stop) for name, value in data.items()}
    if isinstance(data, list) and data and not isinstance(data[0], str):
        return [part(value, start, stop) for value in data]
    return data[start:stop]


def to_device(data: Any, device: torch.device | str) -> Any:
    """A tensor moved; captions stay as they are."""
    return data.to(device) if isinstance(data, torch.Tensor) else data


def scene_generator(seed: int, stream: int) -> torch.Generator:
    """Draws one set of scenes of a run. The streams 0 … 999 of a seed are apart from those of any other small seed."""
    return torch.Generator().manual_seed((1000 * seed + stream) % 2**63)


@dataclass
class Sampler:
    """A model, a seed, and a bar that counts the samples made.

    Args:
        model: what has `generate` as CoDi does.
        seed: of all samples; every batch of a call has its own, so that no two prompts share their noise.
        options: further arguments of `generate`, for instance steps.
        batch: samples at a time, at most.
        pool: processes that make the batches, of `workers`; None: this one does.
    """

    model: Any
    seed: int = 0
    options: dict = field(default_factory=dict)
    batch: int = 32
    bar: tqdm | None = None
    pool: Executor | None = None

    def __call__(
        self, prompts: Mapping[str, Any], outputs: Sequence[str], n: int, joint: bool = True
    ) -> dict[str, Any]:
        """n samples: one for each of n prompts a modality, or without prompts just n."""
        return next(self.many([(prompts, outputs)], n, joint))

    def many(
        self, requests: Sequence[tuple[Mapping[str, Any], Sequence[str]]], n: int, joint: bool = True
    ) -> Iterator[dict[str, Any]]:
        """n samples for each of several (prompts, outputs), in their order."""
        jobs = [self._jobs(prompts, outputs, n, joint) for prompts, outputs in requests]
        if self.pool is None:
            made = ([self.model.generate(**job) for job in batches] for batches in jobs)
        else:
            futures = [[self.pool.submit(_generate, _Plain(job)) for job in batches] for batches in jobs]
            made = ([future.result() for future in batches] for batches in futures)
        for (_, outputs), batches in zip(requests, made, strict=True):
            if self.bar is not None:
                self.bar.update(n * len(outputs))
            yield {name: to_device(join([batch[name] for batch in batches]), "cpu") for name in outputs}

    def _jobs(self, prompts: Mapping[str, Any], outputs: Sequence[str], n: int, joint: bool) -> list[dict[str, Any]]:
        """Arguments of `generate` for each batch, all of about one size."""
        count = math.ceil(n / self.batch)
        bounds = [n * i // count for i in range(count + 1)]
        return [
            {
                "prompts": part(prompts, start, stop),
                "outputs": tuple(outputs),
                "num_samples": 1 if prompts else stop - start,
                "joint": joint,
                "seed": (self.seed + start) % 2**63,
                **self.options,
            }
            for start, stop in pairwise(bounds)
        ]


class _Plain:
    """Is pickled as plain bytes, where torch would send tensors through shared memory, which containers lack."""

    def __init__(self, value: Any):
        self.value = value

    def __reduce__(self):
        return pickle.loads, (pickle.dumps(self.value),)


_model: Any = None  # a worker's own


def _start(path: Path, threads: int) -> None:
    global _model
    _model = pickle.loads(path.read_bytes())
    torch.set_num_threads(threads)


def _generate(job: dict[str, Any]) -> _Plain:
    return _Plain(_model.generate(**job))


def _ready() -> None:
    """A job that ends as soon as a worker has its model."""


def workers(model: Any, n: int) -> Executor:
    """n processes with a copy of the model each; small models keep one core busy better than many.

    Each process imports the script that started it, so a script must call this below `if __name__ == "__main__":`.

    Raises:
        BrokenProcessPool: when the processes cannot start, for example because the script lacks that line.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise SystemExit(1)  # this process is itself a worker that imports the script; its parent gives the reason
    # A file, because the pipe to a new process blocks forever when that process ends before it has read a large model.
    folder = Path(tempfile.mkdtemp())
    (folder / "model").write_bytes(pickle.dumps(model))
    threads = max(1, (os.cpu_count() or 1) // n)
    spawn = multiprocessing.get_context("spawn")  # threads do not survive a fork
    pool = ProcessPoolExecutor(n, spawn, _start, (folder / "model", threads))
    weakref.finalize(pool, shutil.rmtree, folder, ignore_errors=True)
    try:
        pool.submit(_ready).result()
    except BrokenProcessPool:
        raise BrokenProcessPool(
            "expected worker processes that start, but they ended: a script that uses workers needs "
            "`if __name__ == '__main__':` around its main part, and each worker needs memory for its model"
        ) from None
    return pool
