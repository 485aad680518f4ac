"""How long training would take on this machine: a few steps of each stage, timed."""

import json
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from codi_minimal.config import Config
from codi_minimal.data import PAIRINGS
from codi_minimal.training.cache import build_cache, cache_size
from codi_minimal.training.stages import STAGES, in_order, new_run

CACHED = 1024  # samples of a pairing that are rendered and encoded to see how long it takes
CACHES = "caches"


def estimate(
    config: str | Config = "small",
    data: str | Path | None = None,
    device: str | None = None,
    steps: int = 40,
    progress: bool = True,
) -> dict[str, float]:
    """Minutes that each stage would take here, and, as "caches", the pairs that are rendered and encoded once.

    The weights are random, which makes no step slower or faster. Nothing is kept.

    Args:
        config: a preset's name or a config. data: see `data.load`.
        steps: of each stage, at most. Those before the log's first line are slow and count if there is no other line.
    """
    config = in_order(config)
    plan, minutes = config.train, {CACHES: 0.0}
    stages = {name: replace(stage, steps=min(stage.steps, steps)) for name, stage in plan.stages.items()}
    short = replace(plan, stages=stages, cache=min(plan.cache, CACHED), video_cache=min(plan.video_cache, CACHED))
    with TemporaryDirectory() as folder:
        run = new_run(replace(config, train=short), data, folder, device, 0, progress)
        apart = replace(run, folder=run.folder / CACHES)  # these encoders still change: the stages make other caches
        for pairing in PAIRINGS:
            began = time.perf_counter()
            share = cache_size(run.model, pairing, plan) / len(build_cache(apart, pairing).drawn)
            minutes[CACHES] += (time.perf_counter() - began) * share / 60
        for name in stages:
            STAGES[name].train(run)
        lines = [json.loads(line) for line in (run.folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    for name, stage in plan.stages.items():
        times = [(line["step"], line["seconds"]) for line in lines if line["stage"] == name]
        (first, began), (last, ended) = times[0] if len(times) > 1 else (0, 0.0), times[-1]
        minutes[name] = (ended - began) / (last - first) * stage.steps / 60
    return minutes
