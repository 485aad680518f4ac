"""The evaluation: all measures of one model in one go, as one dict, and as files to read."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

from torch import nn
from tqdm import tqdm

from codi_minimal.checkpoint import fingerprint
from codi_minimal.data import Source, load
from codi_minimal.data.world import World
from codi_minimal.evaluation.agreement import QUESTIONS, prompts_of
from codi_minimal.evaluation.classifiers import Judges
from codi_minimal.evaluation.coherence import SUBSETS, Scores, letters
from codi_minimal.evaluation.fidelity import fidelity
from codi_minimal.evaluation.parts import COMPOSITIONS
from codi_minimal.evaluation.progress import Progress
from codi_minimal.evaluation.readers import shipped_judges
from codi_minimal.evaluation.report import write
from codi_minimal.evaluation.generation import BatchedModel
from codi_minimal.evaluation.generation import workers as start_workers
from codi_minimal.evaluation.sections import (
    each_by_itself,
    measure_agreement,
    measure_ceilings,
    measure_entropy,
    measure_parts,
    measure_quality,
    measure_row,
    measure_similarity,
    measure_single,
    measure_spread,
)
from codi_minimal.inputs import check_whole
from codi_minimal.sheet import contact_sheet


@dataclass(frozen=True)
class Sizes:
    """Numbers of samples: a single-prompt cell, a joint figure, the same by itself, a cell, several prompts, real."""

    single: int
    joint: int
    apart: int
    cell: int
    parts: int
    real: int


QUICK = Sizes(single=32, joint=48, apart=48, cell=1, parts=16, real=200)
FULL = Sizes(single=500, joint=500, apart=100, cell=50, parts=500, real=1000)
PROGRESS = "progress.json"
# what a `Modality` names beside its weights
SAMPLED_BY = ("guidance", "guidance_start", "guidance_beside", "steps", "env_guidance")


def evaluate(
    model: Any,
    data: str | Path | Source | None,
    out: str | Path,
    quick: bool = False,
    seed: int = 0,
    samples: int | None = None,
    cells: int | None = None,
    sizes: Sizes | None = None,
    judges: Judges | None = None,
    options: Mapping[str, Any] | None = None,
    workers: int = 1,
    checkpoint: str | None = None,
    progress: bool = True,
) -> dict[str, Any]:
    """Measure a model and write report.json, report.md, heatmap.png and samples.png.

    A module's evaluation that was stopped goes on at the section it was in, if nothing that it depends on has changed.

    Args:
        model: CoDi, or what has its `generate`, `encode_prompt` and `modalities`.
        data: where the test split is read from, as `data.load` takes it; or a source, of any split.
        out: folder to write to.
        quick: small numbers of samples.
        seed: of scenes and samples.
        samples: another number of samples for each single-prompt cell, composition and joint figure, and of real
            renders at least as many; of what is made by itself, as many as in a full run at most.
        cells: another number of samples for each of the 225 cells.
        sizes: other numbers of samples altogether.
        judges: other classifiers than the shipped ones.
        options: further arguments of `generate`: steps, guidance, sampler, stagger, arrivals.
        workers: processes that generate, each with a copy of the model. More than one need a script that has
            `if __name__ == "__main__":`.
        checkpoint: what the report's command names as the model, where it is not the one that ships.
        progress: whether to show bars.

    Returns:
        The report, of plain JSON types.

    Raises:
        ValueError: on a number or an option of `generate` that is out of range, before anything is measured.
    """
    sizes = sizes or (QUICK if quick else FULL)
    check_whole("seed", seed, 0)
    check_whole("workers", workers, 1)
    if samples is not None:
        check_whole("samples", samples, 2)  # distances need a spread
        apart, real = min(samples, FULL.apart), max(samples, sizes.real)
        sizes = replace(sizes, single=samples, joint=samples, apart=apart, parts=samples, real=real)
    if cells is not None:
        sizes = replace(sizes, cell=check_whole("cells", cells, 1))
    judges = judges or shipped_judges()
    source = data if isinstance(data, Source) else load(data, "test")
    world, options = World(source), dict(options or {})
    BatchedModel(model, seed, options)({}, tuple(model.modalities)[:1], 1)  # a wrong option fails here, and not in an hour
    out = Path(out)
    # what has no weights to know it by starts anew each time
    weights = fingerprint(model) if isinstance(model, nn.Module) else None
    identity = {
        "weights": weights,
        "defaults": {name: [getattr(m, what, None) for what in SAMPLED_BY] for name, m in model.modalities.items()},
        "judges": fingerprint(judges),
        "source": source.identity,
        "seed": seed,
        "sizes": asdict(sizes),
        "options": options,
    }
    done = Progress(out / PROGRESS if weights else None, identity)
    bar = tqdm(total=_samples(sizes), unit="sample", disable=not progress)
    pool = start_workers(model, workers) if workers > 1 else nullcontext()

    def section(title: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        bar.set_description(title)
        if title in done:
            bar.update(done.sections[title]["samples"])
        else:
            start, before = perf_counter(), bar.n
            done.add(title, measure(), perf_counter() - start, bar.n - before)
        return done.result(title)

    with bar, pool as pool:
        sampler = BatchedModel(model, seed, options, bar=bar, pool=pool)
        start = perf_counter()
        ceilings, real = measure_ceilings(model, world, judges, sizes.real, seed)
        seconds = {"ceilings": perf_counter() - start}

        def by_themselves() -> dict[str, Any]:
            cells, from_text = measure_single(sampler, world, judges, sizes.single)
            quality, spread = (measure(from_text, real, judges) for measure in (measure_quality, measure_spread))
            return {"cells": cells, "quality": quality, "spread": spread}

        def together() -> dict[str, Any]:
            answers, samples = measure_agreement(sampler, real["real"], judges, sizes.joint, sizes.apart)
            joint = {title: made["joint"] for title, made in samples.items()}
            _picture(joint, out, seed)
            return {
                "answers": answers,
                "similarity": measure_similarity(model, samples, real["real"]),
                "entropy": measure_entropy(joint, judges),
            }

        single = section("single prompts", by_themselves)
        parts = section("parts", lambda: measure_parts(sampler, world, judges, sizes.parts))
        agreement = section("agreement", together)
        table: dict[str, Scores] = {}
        for names in SUBSETS:
            row = partial(measure_row, sampler, world, judges, sizes.cell, names, single["cells"])
            table |= section(f"cells of {letters(names)}", row)
    report = {
        "run": {
            "command": "python -m codi_minimal evaluate"
            + (f" --checkpoint {checkpoint}" if checkpoint else "")
            + " --data DATA"
            + f" --split {source.split}" * (source.split != "test")
            + " --quick" * quick
            + (f" --samples {samples}" if samples else "")
            + (f" --cells {cells}" if cells else "")
            + f" --seed {seed}"
            + "".join(f" --no-{name}" if value is False else f" --{name} {value}" for name, value in options.items()),
            "source": source.name,
            "split": source.split,
            "seed": seed,
            "sizes": asdict(sizes),
            "options": options,
            "seconds": seconds | {title: found["seconds"] for title, found in done.sections.items()},
        },
        "ceilings": ceilings,
        "fidelity": fidelity(real["real"], real["reconstruction"]),
        "single": single["cells"],
        "parts": parts,
        "agreement": agreement["answers"],
        "similarity": agreement["similarity"],
        "quality": single["quality"],
        "diversity": {"entropy": agreement["entropy"], "spread": single["spread"]},
        "cells": table,
    }
    report = write(report, out)
    done.close()
    return report


def _picture(together: Mapping[str, dict[str, Any]], out: Path, seed: int, rows: int = 2) -> None:
    """The first of the joint samples, to look at: samples.png."""
    sheet = [
        {
            "title": question.title,
            "prompts": {name: [data[i]] for name, data in prompts_of(question.digit_said, rows, seed).items()},
            "outputs": {name: data[i] for name, data in together[question.title].items()},
        }
        for question in QUESTIONS
        for i in range(min(rows, *map(len, together[question.title].values())))
    ]
    out.mkdir(parents=True, exist_ok=True)
    contact_sheet(sheet, out / "samples.png")


def _samples(sizes: Sizes) -> int:
    """Samples that a run makes, for the bar."""
    joint = sizes.joint * sum(len(question.outputs) for question in QUESTIONS)
    apart = sizes.apart * sum(map(len, each_by_itself().values()))
    cells = sizes.cell * (15 * sum(map(len, SUBSETS)) - 16)
    return 16 * sizes.single + len(COMPOSITIONS) * sizes.parts + joint + apart + cells
