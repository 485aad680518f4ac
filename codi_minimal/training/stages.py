"""All stages in their order; `train`, which goes through them, and `train_further`, which goes on from a checkpoint."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from codi_minimal.checkpoint import fingerprint, name_in_error
from codi_minimal.codi import CoDi
from codi_minimal.config import Config, preset
from codi_minimal.data import VOCABULARY, load
from codi_minimal.device import best_device
from codi_minimal.inputs import check_whole
from codi_minimal.lock import alone_in, remove_leftovers
from codi_minimal.training.autoencoders import draw_stills, train_autoencoder, train_vocoder
from codi_minimal.training.beside import train_beside
from codi_minimal.training.card import write_card
from codi_minimal.training.denoisers import text_denoiser_step, train_denoiser
from codi_minimal.training.joint import train_environment, train_joint
from codi_minimal.training.prompts import train_bridge
from codi_minimal.training.run import Run
from codi_minimal.training.sheets import environment_similarities, reconstructions, samples, similarities


@dataclass(frozen=True)
class StageFunctions:
    """How a stage is trained, and how the picture is made that shows what came of it."""

    train: Callable[[Run], None]
    show: Callable[..., None]


def _autoencoder(name: str, **how) -> StageFunctions:
    return StageFunctions(partial(train_autoencoder, name=name, **how), partial(reconstructions, name=name))


def _bridge(name: str, **how) -> StageFunctions:
    return StageFunctions(partial(train_bridge, name=name, **how), partial(similarities, name=name))


def _denoiser(name: str, **how) -> StageFunctions:
    return StageFunctions(partial(train_denoiser, name=name, **how), partial(samples, outputs=(name,)))


def _beside(name: str, **how) -> StageFunctions:
    return StageFunctions(partial(train_beside, name=name, **how), samples)


STAGES: dict[str, StageFunctions] = {
    "autoencoder-image": _autoencoder("image", draw_batch=draw_stills),
    "autoencoder-audio": _autoencoder("audio"),
    "autoencoder-text": _autoencoder("text"),
    "vocoder": StageFunctions(train_vocoder, partial(reconstructions, name="audio")),
    "prompts-text-image": _bridge("image"),
    "prompts-text-audio": _bridge("audio"),
    "prompts-text-video": _bridge("video", start_from="image"),
    "denoiser-image": _denoiser("image"),
    "denoiser-audio": _denoiser("audio"),
    "denoiser-text": _denoiser("text", alone=text_denoiser_step),
    "denoiser-video": _denoiser("video", start_from="image"),
    "environment": StageFunctions(train_environment, environment_similarities),
    "joint": StageFunctions(train_joint, samples),
    "beside-text": _beside("text", alone=text_denoiser_step),
    "beside-image": _beside("image"),
    "beside-audio": _beside("audio"),
    "beside-video": _beside("video"),
}


def in_order(config: Config) -> Config:
    """The same config, its stages in the order in which they are trained; ValueError if one is not known."""
    if unknown := set(config.train.stages) - set(STAGES):
        raise ValueError(f"expected a config with stages out of {', '.join(STAGES)}, got {sorted(unknown)}")
    stages = {name: config.train.stages[name] for name in STAGES if name in config.train.stages}
    return replace(config, train=replace(config.train, stages=stages))


def train(
    config: str | Config = "small",
    data: str | Path | None = None,
    out: str | Path = "runs/small",
    device: str | None = None,
    stages: Sequence[str] | None = None,
    seed: int = 0,
    progress: bool = True,
) -> CoDi:
    """Train CoDi from nothing, stage after stage; what is done is loaded, what was interrupted goes on.

    Args:
        config: a preset's name or a config. data: see `data.load`. out: folder of this run.
        stages: stop after these; each needs those before it, which are then loaded (or trained). None: all.

    Returns:
        The model, also saved to `out`/model once all stages are done.

    Raises:
        ValueError: no stage, or one that the config or this module does not have; a seed outside [0, 2**63); files of
            a run from another config, other data or another seed in `out`, or such a run at work in it.
    """
    seed = check_whole("seed", seed, 0)
    config = in_order(preset(config) if isinstance(config, str) else config)
    if stages is not None and not stages:
        raise ValueError(f"expected stages out of {', '.join(config.train.stages)}, got none")
    if unknown := set(stages or ()) - set(config.train.stages):
        raise ValueError(f"expected stages out of {', '.join(config.train.stages)}, got {sorted(unknown)}")
    torch.manual_seed(seed)  # the initial weights; all later draws have generators of their own
    model = CoDi(config, VOCABULARY).to(best_device(device), memory_format=torch.channels_last)
    run = Run(model, load(data, split_seed=config.train.split_seed), Path(out), seed, progress)
    names = list(config.train.stages)
    wanted = names if stages is None else names[: max(names.index(s) for s in stages) + 1]
    with alone_in(run.folder):
        _go_through(run, wanted)
        if wanted == names:
            _save(run, config)
    return model


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
    """Train a finished checkpoint on, from its weights: the stages named, and nothing else; resumes as `train` does.

    Autoencoders and C_text stay as they are, for all that came after has learned to read what they say. What a stage
    changes is new to the stages after it: after "environment" name "joint", too.

    Args:
        stages: which; they are gone through in their order.
        checkpoint: folder or hub id; None: the one that ships. data: see `data.load`. out: folder of this run.
        steps: of each; None: as many as the checkpoint had. seed: of the samples; 0 draws those it has seen.

    Returns:
        The model, also saved to `out`/model.

    Raises:
        ValueError: no stage, or one that the checkpoint never had or that cannot go on; steps below 1, a seed outside
            [0, 2**63); files of another run in `out`, or one at work in it.
    """
    seed, steps = check_whole("seed", seed, 0), steps if steps is None else check_whole("steps", steps, 1)
    model = CoDi.from_pretrained(checkpoint, device)
    trained = in_order(model.config)
    able = [name for name in trained.train.stages if not name.startswith("autoencoder-")]
    if not stages or (unknown := set(stages) - set(able)):
        raise ValueError(f"expected stages out of {', '.join(able)}, got {sorted(unknown) if stages else 'none'}")
    more = {name: trained.train.stages[name] for name in able if name in stages}
    more = more if steps is None else {name: replace(stage, steps=steps) for name, stage in more.items()}
    model.config = replace(trained, train=replace(trained.train, stages=more))
    further = "" if checkpoint is None else str(checkpoint)
    source = load(data, split_seed=trained.train.split_seed)
    run = Run(model, source, Path(out), seed, progress, further=further, start=fingerprint(model))
    all_stages = {
        name: replace(stage, steps=stage.steps + more[name].steps) if name in more else stage
        for name, stage in trained.train.stages.items()
    }
    with alone_in(run.folder):
        _go_through(run, list(more))
        _save(run, replace(trained, train=replace(trained.train, stages=all_stages)))
    return model


def _go_through(run: Run, names: Sequence[str]) -> None:
    for name in names:
        STAGES[name].train(run)
        if not (picture := run.folder / f"{name}.png").exists():
            with name_in_error(picture):
                STAGES[name].show(run, name)


def _save(run: Run, config: Config) -> None:
    """The model with its card, which is about this run, and with the config of all that it has been trained for."""
    folder = run.folder / "model"
    remove_leftovers(folder)
    write_card(run, folder)
    run.model.config = config
    run.model.save_pretrained(folder, dtype="float16")
