"""All stages in their order. `train` and `train_further` go through them, `estimate` tells how long that would take."""

import json
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from codi_minimal.checkpoint import atomic_write, fingerprint, name_in_error
from codi_minimal.codi import CoDi
from codi_minimal.config import Config, Stage, preset
from codi_minimal.data import PAIRINGS, VOCABULARY, load
from codi_minimal.data.espeak import synthetic_voices
from codi_minimal.device import best_device
from codi_minimal.inputs import check_whole
from codi_minimal.lock import alone_in, remove_leftovers
from codi_minimal.training.autoencoders import draw_stills, train_autoencoder, train_vocoder
from codi_minimal.training.beside import train_beside
from codi_minimal.training.card import model_card
from codi_minimal.training.denoisers import train_denoiser
from codi_minimal.training.joint import train_environment, train_joint
from codi_minimal.training.prompts import train_bridge
from codi_minimal.training.run import Run
from codi_minimal.training.sheets import environment, reconstructions, samples, similarities
from codi_minimal.training.streams import build_cache, cache_size


@dataclass(frozen=True)
class StageFunctions:
    """How a stage is trained, and how the picture of its result is made."""

    train: Callable[[Run], None]
    show: Callable[[Run, str], None]


def _stage(train: Callable[..., None], show: Callable[..., None], name: str, **how) -> StageFunctions:
    return StageFunctions(partial(train, name=name, **how), partial(show, name=name))


BESIDE = ("text", "image", "audio", "video")
STAGES: dict[str, StageFunctions] = {
    "autoencoder-image": _stage(train_autoencoder, reconstructions, "image", draw_batch=draw_stills),
    "autoencoder-audio": _stage(train_autoencoder, reconstructions, "audio"),
    "autoencoder-text": _stage(train_autoencoder, reconstructions, "text"),
    "vocoder": StageFunctions(train_vocoder, partial(reconstructions, name="audio")),
    "prompts-text-image": _stage(train_bridge, similarities, "image"),
    "prompts-text-audio": _stage(train_bridge, similarities, "audio", voices=synthetic_voices),
    "prompts-text-video": _stage(train_bridge, similarities, "video", start_from="image"),
    "denoiser-image": _stage(train_denoiser, samples, "image"),
    "denoiser-audio": _stage(train_denoiser, samples, "audio"),
    "denoiser-text": _stage(train_denoiser, samples, "text"),
    "denoiser-video": _stage(train_denoiser, samples, "video", start_from="image"),
    "environment": StageFunctions(train_environment, partial(similarities, name="image", embed=environment)),
    "joint": StageFunctions(train_joint, samples),
    **{f"beside-{m}": StageFunctions(partial(train_beside, name=m), samples) for m in BESIDE},
}


def _check(stages: Collection[str], known: Collection[str]) -> None:
    if not stages or not set(stages) <= set(known):
        came = sorted(set(stages) - set(known)) or "none"
        raise ValueError(f"expected stages out of {', '.join(known)}, got {came}")


def _with(config: Config, stages: dict[str, Stage]) -> Config:
    return replace(config, train=replace(config.train, stages=stages))


def in_order(config: str | Config) -> Config:
    """A preset or a config, its stages in the order in which they are trained; ValueError if one is unknown."""
    config = preset(config) if isinstance(config, str) else config
    _check(config.train.stages, STAGES)
    return _with(config, {name: config.train.stages[name] for name in STAGES if name in config.train.stages})


def new_run(
    config: Config, data: str | Path | None, out: str | Path, device: str | None, seed: int, progress: bool
) -> Run:
    """A run from nothing: the seed draws the initial weights. All later draws have generators of their own."""
    torch.manual_seed(seed)
    model = CoDi(config, VOCABULARY).to(best_device(device), memory_format=torch.channels_last)
    return Run(model, load(data, split_seed=config.train.split_seed), Path(out), seed, progress)


def train(
    config: str | Config = "small",
    data: str | Path | None = None,
    out: str | Path = "runs/small",
    device: str | None = None,
    stages: Sequence[str] | None = None,
    seed: int = 0,
    progress: bool = True,
) -> CoDi:
    """Trains CoDi from nothing, stage after stage. What is done is loaded, and what was interrupted goes on.

    Args:
        config: a preset's name or a config. data: see `data.load`.
        out: folder of this run; the model is saved to its folder `model` when all stages are done.
        stages: stop after these; each needs those before it, which are then loaded (or trained). None: all.

    Raises:
        ValueError: no stage, or one that the config or this module does not have; a seed outside [0, 2**63); files of
            a run from another config, other data or another seed in `out`, or such a run at work in it.
    """
    seed, config = check_whole("seed", seed, 0), in_order(config)
    names = list(config.train.stages)
    _check(names if stages is None else stages, names)
    last = max(names.index(name) for name in stages or names)
    run = new_run(config, data, out, device, seed, progress)
    return _go_through(run, names[: last + 1], config if last == len(names) - 1 else None)


def train_further(
    stages: Sequence[str],
    checkpoint: str | Path | None = None,
    data: str | Path | None = None,
    out: str | Path = "runs/further",
    device: str | None = None,
    steps: int | None = None,
    seed: int = 1,
    progress: bool = True,
) -> CoDi:
    """Trains some stages of a finished checkpoint on, and nothing else. Resumes, and saves the model, as `train` does.

    Autoencoders and C_text stay as they are, because all later stages have learned to read their outputs. What a stage
    changes is new to the stages after it: after "environment" name "joint", too.

    Args:
        stages: which; they are gone through in their order.
        checkpoint: folder or hub id; None: the one that ships. data: see `data.load`. out: folder of this run.
        steps: of each; None: as many as the checkpoint had. seed: of the samples; 0 draws those it has seen.

    Raises:
        ValueError: no stage, or one that the checkpoint never had or that cannot go on; steps below 1, a seed outside
            [0, 2**63); files of another run in `out`, or one at work in it.
    """
    seed, steps = check_whole("seed", seed, 0), steps if steps is None else check_whole("steps", steps, 1)
    model = CoDi.from_pretrained(checkpoint, device)
    trained = in_order(model.config)
    had, source = trained.train.stages, load(data, split_seed=trained.train.split_seed)
    able = [name for name in had if not name.startswith("autoencoder-")]
    _check(stages, able)
    more = {name: replace(had[name], steps=steps or had[name].steps) for name in able if name in stages}
    both = had | {name: replace(stage, steps=had[name].steps + stage.steps) for name, stage in more.items()}
    model.config, further = _with(trained, more), "" if checkpoint is None else str(checkpoint)
    run = Run(model, source, Path(out), seed, progress, further=further, start=fingerprint(model))
    return _go_through(run, list(more), _with(trained, both))


def _go_through(run: Run, names: Sequence[str], whole: Config | None) -> CoDi:
    """Trains stages, draws their pictures; saves the model if `whole`, the config of all its training, is given."""
    with alone_in(run.folder):
        for name in names:
            STAGES[name].train(run)
            if not (picture := run.folder / f"{name}.png").exists():
                with name_in_error(picture):
                    STAGES[name].show(run, name)
        if whole is not None:
            folder = run.folder / "model"
            folder.mkdir(exist_ok=True)
            remove_leftovers(folder)
            atomic_write(folder / "MODEL_CARD.md", model_card(run).encode())  # it is about this run alone
            run.model.config = whole
            run.model.save_pretrained(folder, dtype="float16")
    return run.model


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
    plan, minutes = config.train, {"caches": 0.0}
    stages = {name: replace(stage, steps=min(stage.steps, steps)) for name, stage in plan.stages.items()}
    short = replace(plan, stages=stages, cache=min(plan.cache, 1024), video_cache=min(plan.video_cache, 1024))
    with TemporaryDirectory() as folder:
        run = new_run(replace(config, train=short), data, folder, device, 0, progress)
        apart = replace(run, folder=run.folder / "caches")  # these encoders still change: the stages make other caches
        for pairing in PAIRINGS:
            began = time.perf_counter()
            share = cache_size(run.model, pairing, plan) / len(build_cache(apart, pairing).drawn)
            minutes["caches"] += (time.perf_counter() - began) * share / 60
        for name in stages:
            STAGES[name].train(run)
        lines = [json.loads(line) for line in (run.folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    for name, stage in plan.stages.items():
        times = [(line["step"], line["seconds"]) for line in lines if line["stage"] == name]
        (first, began), (last, ended) = times[0] if len(times) > 1 else (0, 0.0), times[-1]
        minutes[name] = (ended - began) / (last - first) * stage.steps / 60
    return minutes
