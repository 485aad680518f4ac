"""A lesson: the shipped model with some parts untrained, which a notebook trains at one of three scales."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from codi_minimal.checkpoint import copy_named, read_tensors, write_tensors
from codi_minimal.codi import CoDi
from codi_minimal.data import load
from codi_minimal.training.run import Run


@dataclass(frozen=True)
class Scale:
    """How much a lesson trains."""

    steps: float  # multiplies each stage's number
    batch: float  # the same
    pairs: int  # samples that are rendered and encoded once
    clips: int  # the same, of videos
    n: int  # samples of a figure
    autocast: str | None = None

    def stage(self, steps: int, batch: int) -> tuple[int, int]:
        """Steps and batch size at this scale, 4 or more, from those at the scale "small"."""
        return max(4, int(steps * self.steps)), max(4, int(batch * self.batch))


SCALES = {
    "tiny": Scale(0.001, 0.1, 32, 8, 4),  # seconds: to see that everything runs
    "small": Scale(1, 1, 8_000, 2_000, 64),  # two CPU cores: a few minutes
    "base": Scale(5, 2, 40_000, 10_000, 256, "bf16"),  # one GPU; it has not been run
}
RUNS = Path("runs/course")


def parts(model: CoDi, stage: str) -> dict[str, torch.Tensor]:
    """The part of the model's state that a stage trains: name → tensor.

    >>> from codi_minimal.config import preset
    >>> names = parts(CoDi(preset("tiny"), ["seven"]), "denoiser-image")
    >>> {name.split(".")[2] for name in names}, any("environment" in name for name in names)
    ({'denoiser'}, False)
    """
    kind, _, name = stage.partition("-")
    state, m = model.state_dict(), name.removeprefix("text-")
    if kind in ("environment", "joint"):
        return {k: x for k, x in state.items() if "environment" in k}
    if kind == "beside":
        return {k: x for k, x in state.items() if k.startswith(f"modalities.{m}.denoiser.")}
    prefixes = (f"modalities.{m}.{kind}.",)
    if kind == "prompts":
        prefixes = (f"modalities.{m}.prompt.",)
    if stage == "prompts-text-image":  # it alone trains C_text
        prefixes += ("modalities.text.prompt.",)
    return {k: x for k, x in state.items() if k.startswith(prefixes) and "environment" not in k}


def begin(
    lesson: str,
    scale: str,
    stages: Mapping[str, int] | None = None,
    yours: Sequence[str] = (),
    data: str | Path | None = None,
    seed: int = 1,
) -> Run:
    """A run for one notebook, in a folder of its own. The folder is emptied, so that a notebook always trains anew.

    Args:
        lesson: the notebook's number. scale: tiny, small or base.
        stages: those that the notebook trains from random weights, with their numbers of steps at the scale "small".
        yours: stages whose results come from notebooks that you ran before, instead of the shipped checkpoint.
        data: see `data.load`. seed: of weights, batches and noise; the shipped checkpoint was trained with seed 0.

    Raises:
        ValueError: on an unknown scale or stage, or if you have not yet trained what `yours` names.
    """
    if scale not in SCALES:
        raise ValueError(f"expected a scale out of {', '.join(SCALES)}, got {scale!r}")
    stages, shipped = stages or {}, CoDi.from_pretrained()
    if unknown := {*stages, *yours} - set(known := shipped.config.train.stages):
        raise ValueError(f"expected stages out of {', '.join(known)}, got {sorted(unknown)}")
    torch.manual_seed(seed)
    size, train = SCALES[scale], shipped.config.train
    sizes = {stage: size.stage(steps, train.stages[stage].batch) for stage, steps in stages.items()}
    changed = {stage: replace(train.stages[stage], steps=n, batch=batch) for stage, (n, batch) in sizes.items()}
    train = replace(train, cache=size.pairs, video_cache=size.clips, autocast=size.autocast, stages=known | changed)
    model = CoDi(replace(shipped.config, train=train), shipped.vocabulary)
    new = {name: x for stage in stages for name, x in parts(model, stage).items()}
    model.load_state_dict(shipped.state_dict() | new)
    for stage in yours:
        trained = read_tensors(RUNS / scale / f"{stage}.safetensors")[0]
        copy_named(parts(model, stage), trained, f"what was trained as {stage}")
    folder = RUNS / scale / lesson
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    model = model.to(shipped.device, memory_format=torch.channels_last).requires_grad_(False).eval()
    return Run(model, load(data, split_seed=model.config.train.split_seed), folder, seed)


def finish(run: Run, *stages: str) -> None:
    """Keeps what the notebook has trained, for `yours` of later notebooks."""
    for stage in stages:
        write_tensors(run.folder.parent / f"{stage}.safetensors", parts(run.model, stage))
