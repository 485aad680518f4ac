"""How long training would take on this machine: a few steps of each stage, timed."""

import json
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from codi_minimal.codi import CoDi
from codi_minimal.config import Config, TrainConfig, preset
from codi_minimal.data import PAIRINGS, VOCABULARY, load
from codi_minimal.device import best_device
from codi_minimal.training.cache import build_cache, cache_size
from codi_minimal.training.run import Run
from codi_minimal.training.stages import STAGES, in_order

CACHED = 1024  # samples of a pair that are rendered and encoded to see how long it takes
CACHES = "caches"


def estimate(
    config: str | Config = "small",
    data: str | Path | None = None,
    device: str | None = None,
    steps: int = 40,
    progress: bool = True,
) -> dict[str, float]:
    """Minutes that each stage would take here, and, as "caches", the pairs that are rendered and encoded once.

    The weights are random, as at the start, which makes no step slower or faster. Nothing is kept.

    Args:
        config: a preset's name or a config. data: see `data.load`.
        steps: of each stage, at most. The first are slow: those before the log's first line count if there is no other.
    """
    config = in_order(preset(config) if isinstance(config, str) else config)
    plan = config.train
    counts = {"cache": min(plan.cache, CACHED), "video_cache": min(plan.video_cache, CACHED)}
    stages = {name: replace(stage, steps=min(stage.steps, steps)) for name, stage in plan.stages.items()}
    model = CoDi(replace(config, train=replace(plan, stages=stages, **counts)), VOCABULARY)
    model = model.to(best_device(device), memory_format=torch.channels_last)
    with TemporaryDirectory() as folder:
        run = Run(model, load(data, split_seed=plan.split_seed), Path(folder), progress=progress)
        apart = replace(run, folder=run.folder / CACHES)  # encoders still change: the stages make caches of their own
        minutes = {CACHES: sum(_cache_seconds(apart, pairing, plan) for pairing in PAIRINGS) / 60}
        for name in stages:
            STAGES[name].train(run)
        lines = [json.loads(line) for line in (run.folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    for name, stage in plan.stages.items():
        times = [(line["step"], line["seconds"]) for line in lines if line["stage"] == name]
        (first, began), (last, ended) = times[0] if len(times) > 1 else (0, 0.0), times[-1]
        minutes[name] = (ended - began) / (last - first) * stage.steps / 60
    return minutes


def _cache_seconds(run: Run, pairing: tuple[str, str], plan: TrainConfig) -> float:
    began = time.perf_counter()
    built = len(build_cache(run, pairing))
    return (time.perf_counter() - began) * cache_size(run.model, pairing, plan) / built
