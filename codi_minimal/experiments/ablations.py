"""Ablations of latent alignment: how agreement under PAPER changes with the training of V and of the attention to it.

Each variant trains both anew. Steps and pairs are the same for all. Denoisers, prompt encoders and autoencoders are
those of the model. "nearest to the paper" is a chain with both streams at the same t, without L_Read, without noise on
the environment and without tokens of the stream itself. It still has the stage `environment`, tokens that are left out,
and L_Con with its hard negatives and its weights.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from codi_minimal.alignment import environment_modules
from codi_minimal.checkpoint import fingerprint
from codi_minimal.codi import CoDi
from codi_minimal.data import load
from codi_minimal.evaluation.agreement import answer, ask, chance
from codi_minimal.evaluation.generation import BatchedModel
from codi_minimal.evaluation.report import command, save, table
from codi_minimal.experiments.base import Place, one_by_one, run_of, share_cache, untrained
from codi_minimal.experiments.together import ASKED, MEASURES, column
from codi_minimal.inputs import check_whole
from codi_minimal.recipes import PAPER
from codi_minimal.training.joint import train_environment, train_joint
from codi_minimal.training.run import Run
from codi_minimal.training.streams import CHAIN


@dataclass(frozen=True)
class Variant:
    """What differs from the training of the checkpoint that ships.

    Args:
        train, model: changes to `TrainConfig` and `ModelConfig`. without: names of additions that do not train.
        chain: link by link, each frozen before the next, as in the paper; else all pairings take turns.
    """

    train: Mapping[str, Any] = field(default_factory=dict)
    model: Mapping[str, Any] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    chain: bool = False


VARIANTS = {
    "all of it": Variant(),
    "the paper's chain": Variant(chain=True),
    "nearest to the paper": Variant({"p_ahead": 0.0, "p_own": 0.0, "env_noise": 0.0}, without=("reading",), chain=True),
    "the other always at the same t": Variant({"p_ahead": 0.0}),
    "without L_Con": Variant({"con": 0.0}),
    "without L_Read": Variant(without=("reading",)),
    "one summary token": Variant(model={"summary": 1}),
    "wiring: off": Variant({"wiring": "off"}),
    "wiring: own": Variant({"wiring": "own"}),
    "λ = 2": Variant({"lam": 2.0}),
    "wiring: pooled": Variant({"wiring": "pooled"}),
}


def ablations(
    model: CoDi,
    data: Place,
    out: Path,
    steps: int = 500,
    samples: int = 100,
    seed: int = 0,
    workers: int = 1,
    progress: bool = True,
) -> dict[str, Any]:
    """Train each variant for `steps` of each of the two stages, and sample it with PAPER.

    A run that was stopped goes on in the variant and stage it was in.

    Returns:
        "variants": title → figure by its name.
    """
    check_whole("samples", samples, 1)
    source, autocast = load(data, split_seed=model.config.train.split_seed), model.recipe.autocast
    runs = out / f"{fingerprint(model)}-{seed}"
    run = run_of(model, source, recipe=PAPER.to_dict(), autocast=autocast, steps=steps, samples=samples)

    def trained_and_measured(title: str) -> dict[str, Any]:
        variant, folder = VARIANTS[title], runs / title.replace(" ", "-").replace(":", "")
        trained = with_new_environment(model, variant, steps, seed)
        wiring = trained.config.train.wiring
        if wiring != "off":  # nothing to train
            share_cache(runs, folder)
            train(Run(trained, source, folder, seed, progress), variant)
            share_cache(folder, runs)
        options = {"recipe": replace(PAPER, wiring=wiring, autocast=autocast)}
        return measure(BatchedModel(trained, seed, options, workers=workers), samples)

    asked = {title: run | {"variant": repr(variant)} for title, variant in VARIANTS.items()}
    found = one_by_one(runs / "variants", asked, trained_and_measured, samples, progress)
    found["chance"] = {column(q, what): p for q in ASKED for what, p in chance(q).items()}
    made_by = command("experiment ablations", data="DATA", steps=steps, samples=samples, seed=seed, autocast=autocast)
    report = {"command": made_by, "source": source.name, "variants": found}
    return save(out, "ablations", report, markdown(report))


def with_new_environment(model: CoDi, variant: Variant, steps: int, seed: int) -> CoDi:
    """A copy of the model with untrained V and untrained attention to it, and with the settings of a variant."""
    stages = {name: replace(model.config.train.stages[name], steps=steps) for name in ("environment", "joint")}
    if variant.chain:
        few = {name: replace(stage, steps=max(1, steps // len(CHAIN))) for name, stage in stages.items()}
        stages = {f"{name}-{link}": stage for name, stage in few.items() for link in CHAIN}
    fresh, new = untrained(model, seed, variant.model, stages=stages, **variant.train), copy.deepcopy(model)
    new.config, new.recipe = fresh.config, model.recipe.without(*variant.without)
    for name, m in new.modalities.items():
        other = fresh.modalities[name].to(model.device)
        m.environment = other.environment
        for old, first in zip(environment_modules(m.denoiser), environment_modules(other.denoiser), strict=True):
            old.load_state_dict(first.state_dict())
    return new


def train(run: Run, variant: Variant) -> None:
    """Both stages of latent alignment, in turns or as a chain."""
    for name, stage in (("environment", train_environment), ("joint", train_joint)):
        links = [(f"{name}-{link}", names) for link, (_, names) in CHAIN.items()]
        for arguments in links if variant.chain else [()]:
            stage(run, *arguments)


def measure(model: BatchedModel, n: int) -> dict[str, Any]:
    """How often outputs agree."""
    shares = ((question, answer(question, ask(question, model, n))) for question in ASKED)
    return {column(question, what): found[what] for question, found in shares for what in MEASURES if what in found}


def markdown(report: Mapping[str, Any]) -> str:
    """One table: a row for each variant, a column for each figure."""
    columns = list(next(iter(report["variants"].values())))
    rows = [(title, *map(found.get, columns)) for title, found in report["variants"].items()]
    return f"""# What of latent alignment is needed

`{report["command"]}`. Data: {report["source"]}. How often outputs agree under PAPER, with 95 % intervals: digits under
no prompt, colour and onset under a text that gives the digit alone. T, I, A, V: text, image, audio, video.

{table(("", *columns), rows)}
"""
