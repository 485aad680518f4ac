"""How long training would take on this machine."""

import json
import time
from dataclasses import replace
from tempfile import TemporaryDirectory

from codi_minimal.config import Config
from codi_minimal.training.stages import STAGES, Data, in_order, new_run
from codi_minimal.training.streams import build_cache, cache_size


def estimate(
    config: str | Config = "small",
    data: Data = None,
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
    plan, minutes = config.train, {"caches": 0.0}
    stages = {name: replace(stage, steps=min(stage.steps, steps)) for name, stage in plan.stages.items()}
    short = replace(plan, stages=stages, cache=min(plan.cache, 1024), video_cache=min(plan.video_cache, 1024))
    with TemporaryDirectory() as folder:
        run = new_run(replace(config, train=short), data, folder, device, 0, progress)
        apart = replace(run, folder=run.folder / "caches")  # these encoders still change: the stages make other caches
        for pairing in run.corpus.pairings:
            began = time.perf_counter()
            share = cache_size(run.model, pairing, plan) / len(build_cache(apart, pairing).drawn)
            minutes["caches"] += (time.perf_counter() - began) * share / 60
        for name in run.config.train.stages:
            STAGES[name].train(run)
        lines = [json.loads(line) for line in (run.folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    for name in run.config.train.stages:
        stage = plan.stages[name]
        times = [(line["step"], line["seconds"]) for line in lines if line["stage"] == name]
        (first, began), (last, ended) = times[0] if len(times) > 1 else (0, 0.0), times[-1]
        minutes[name] = (ended - began) / (last - first) * stage.steps / 60
    return minutes
