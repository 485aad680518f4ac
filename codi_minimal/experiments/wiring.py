"""The wirings of the environment: which streams see which others. Each is trained anew, for the same number of steps.

- "own": a stream sees its own tokens. This is what the paper's public code does.
- "pooled": a stream sees one token for each other stream.
- "others": a stream sees all tokens of the others. This is the paper's text.
- "off": there is no environment, and nothing to train.

L_Read trains streams to read others, so it acts under "pooled" and "others" alone.
"""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

from codi_minimal.alignment import WIRINGS, environment_modules
from codi_minimal.checkpoint import fingerprint
from codi_minimal.codi import CoDi
from codi_minimal.data import load
from codi_minimal.evaluation.agreement import QUESTIONS, answer, ask, chance
from codi_minimal.evaluation.generation import BatchedModel
from codi_minimal.evaluation.report import command, save, table
from codi_minimal.experiments.base import Place, share_cache, untrained
from codi_minimal.training.joint import train_environment, train_joint
from codi_minimal.training.run import Run


def wiring(
    model: CoDi, data: Place, out: Path, steps: int = 500, samples: int = 100, seed: int = 0, progress: bool = True
) -> dict[str, Any]:
    """Train V and all attention to it anew under each wiring, for so many steps of each of the two stages.

    Returns:
        "agreement": wiring → question → figure.
    """
    source, runs = load(data, split_seed=model.config.train.split_seed), out / f"{fingerprint(model)}-{seed}"
    report: dict[str, Any] = {
        "command": command("experiment wiring", data="DATA", steps=steps, samples=samples, seed=seed),
        "source": source.name,
        "chance": {question.title: chance(question) for question in QUESTIONS},
        "agreement": {},
    }
    for name in reversed(WIRINGS):
        variant = with_new_environment(model, name, steps, seed)
        if name != "off":  # nothing to train
            run = Run(variant, source, runs / name, seed, progress)
            share_cache(runs, run.folder)
            train_environment(run)
            train_joint(run)
            share_cache(run.folder, runs)
        recipe = replace(model.recipe.without("arrivals"), wiring=name)  # a finished stream is not a prompt for others
        batched = BatchedModel(variant, seed, {"recipe": recipe})
        report["agreement"][name] = {q.title: answer(q, ask(q, batched, samples)) for q in QUESTIONS}
    return save(out, "wiring", report, markdown(report))


def with_new_environment(model: CoDi, wiring: str, steps: int, seed: int) -> CoDi:
    """A copy of the model with untrained V and untrained attention to it."""
    stages = {name: replace(model.config.train.stages[name], steps=steps) for name in ("environment", "joint")}
    fresh, variant = untrained(model, seed, stages=stages, wiring=wiring), copy.deepcopy(model)
    variant.config = fresh.config
    for name, m in variant.modalities.items():
        new = fresh.modalities[name].to(model.device)
        m.environment = new.environment
        for old, first in zip(environment_modules(m.denoiser), environment_modules(new.denoiser), strict=True):
            old.load_state_dict(first.state_dict())
    return variant


def markdown(report: dict[str, Any]) -> str:
    """One table: one row for each wiring, one column for each question."""
    columns = [(title, what) for title, expected in report["chance"].items() for what in expected]
    rows = [(name, *(answers[title][what] for title, what in columns)) for name, answers in report["agreement"].items()]
    rows.append(("chance", *(report["chance"][title][what] for title, what in columns)))
    header = ("wiring", *(title if what == "all" else f"{title}: {what}" for title, what in columns))
    return f"""# Which streams see which others

`{report["command"]}`. Data: {report["source"]}. How often outputs agree on what no prompt gives, with 95 % intervals.
"own" trains without L_Read, and "off" trains nothing.

{table(header, rows)}
"""
