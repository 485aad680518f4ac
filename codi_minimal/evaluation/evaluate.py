"""The evaluation: all measures of one model in one go, as one dict, and as files to read."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

from torch import nn
from tqdm import tqdm

from codi_minimal.checkpoint import fingerprint
from codi_minimal.data import Source
from codi_minimal.data.world import World
from codi_minimal.evaluation import sections
from codi_minimal.evaluation.agreement import PAIRS, QUESTIONS, prompts_of
from codi_minimal.evaluation.coherence import SUBSETS, letters
from codi_minimal.evaluation.generation import BatchedModel
from codi_minimal.evaluation.parts import COMPOSITIONS
from codi_minimal.evaluation.progress import Progress
from codi_minimal.evaluation.readers import shipped_judges
from codi_minimal.evaluation.report import command, write
from codi_minimal.inputs import check_whole
from codi_minimal.sheet import contact_sheet

# samples of a single-prompt cell, a joint figure, the same made apart, a cell, several prompts, and real renders
QUICK = {"single": 32, "joint": 48, "apart": 48, "cell": 1, "parts": 16, "real": 200}
FULL = {"single": 500, "joint": 500, "apart": 100, "cell": 20, "parts": 500, "real": 1000}
PROGRESS = "progress.json"


def evaluate(
    model: nn.Module,
    source: Source,
    out: str | Path,
    quick: bool = False,
    seed: int = 0,
    samples: int | None = None,
    cells: int | None = None,
    workers: int = 1,
    chosen: Mapping[str, Any] | None = None,
    progress: bool = True,
) -> dict[str, Any]:
    """Measure a model and write report.json, report.md, heatmap.png and samples.png.

    An evaluation that was stopped goes on at the section it was in, if its inputs are the same.

    Args:
        model: CoDi, or what has its `generate`, `encode_prompt`, `modalities`, `recipe` and `device`.
        source: of any split. seed: of scenes and samples. quick: small numbers of samples.
        samples: another number of samples for each single-prompt cell, composition and joint figure, and of real
            renders at least as many; of what is made by itself, as many as in a full run at most.
        cells: another number of samples for each of the 225 cells.
        workers: processes that generate, each with a copy of the model.
        chosen: further options of the report's command: the checkpoint, the recipe, where they are not the defaults.

    Returns:
        The report, of plain JSON types.

    Raises:
        ValueError: on a number that is out of range, before anything is measured.
    """
    sizes = dict(QUICK if quick else FULL)
    check_whole("seed", seed, 0)
    check_whole("workers", workers, 1)
    if samples is not None:
        check_whole("samples", samples, 2)  # distances need a spread
        sizes |= {"single": samples, "joint": samples, "apart": min(samples, FULL["apart"])}
        sizes |= {"parts": samples, "real": max(samples, sizes["real"])}
    if cells is not None:
        sizes["cell"] = check_whole("cells", cells, 1)
    out = Path(out)
    run = {"source": source.identity, "seed": seed, "sizes": sizes}
    run |= {"weights": fingerprint(model), "recipe": repr(model.recipe), "judges": fingerprint(shipped_judges())}
    done = Progress(out / PROGRESS, run)
    bar = tqdm(total=_samples(sizes), unit="sample", disable=not progress)

    def section(title: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        bar.set_description(title)
        if title in done.sections:
            bar.update(done.sections[title]["samples"])
        else:
            start, before = perf_counter(), bar.n
            result = measure()
            done.keep(title, result, perf_counter() - start, bar.n - before)
        return done.sections[title]["result"]

    batched, world = BatchedModel(model, seed, bar=bar, workers=workers), World(source)
    real = sections.real_renders(model, world, sizes["real"], seed)

    def agreement() -> dict[str, Any]:
        result, joint = sections.measure_agreement(batched, real, sizes["joint"], sizes["apart"])
        _picture(joint, out, seed)
        return result

    with bar:
        ceilings = section("ceilings", lambda: sections.measure_ceilings(real))
        single = section("single prompts", lambda: sections.measure_single(batched, world, real, sizes["single"]))
        parts = section("parts", lambda: sections.measure_parts(batched, world, sizes["parts"]))
        agreed = section("agreement", agreement)
        table = {}
        for names in SUBSETS:
            row = partial(sections.measure_row, batched, world, sizes["cell"], names, single["cells"])
            table |= section(f"cells of {letters(names)}", row)
    asked = {"split": None if source.split == "test" else source.split, "quick": "" if quick else None}
    asked |= {"samples": samples, "cells": cells, "seed": seed}
    report = {
        "run": {
            "command": command("evaluate", **(chosen or {}), data="DATA", **asked),
            "source": source.name,
            "split": source.split,
            "seed": seed,
            "sizes": sizes,
            "seconds": {title: found["seconds"] for title, found in done.sections.items()},
        },
        **ceilings,
        "single": single["cells"],
        "parts": parts,
        "agreement": agreed["answers"],
        "quality": single["quality"],
        "matched": single["matched"],
        "diversity": {"entropy": agreed["entropy"], "spread": single["spread"]},
        "cells": table,
    }
    report = write(report, out)
    done.path.unlink()  # the report holds everything
    return report


def _picture(together: Mapping[str, dict[str, Any]], out: Path, seed: int) -> None:
    """The first two joint samples of each question but those of pairs, to look at: samples.png."""
    rows = [
        {
            "title": question.title,
            "prompts": {name: [data[i]] for name, data in prompts_of(question.digit_said, 2, seed).items()},
            "outputs": {name: data[i] for name, data in together[question.title].items()},
        }
        for question in QUESTIONS
        if question not in PAIRS
        for i in range(2)
    ]
    contact_sheet(rows, out / "samples.png")


def _samples(sizes: Mapping[str, int]) -> int:
    """The number of samples that a run makes, for the bar."""
    asked = {(question.outputs, question.digit_said) for question in QUESTIONS}
    agreed = (sizes["joint"] + sizes["apart"]) * sum(len(outputs) for outputs, _ in asked)
    cells = sizes["cell"] * (15 * sum(map(len, SUBSETS)) - 16)
    return 16 * sizes["single"] + len(COMPOSITIONS) * sizes["parts"] + agreed + cells
