"""Given streams: does what is generated around a real stream fit it?

A given stream can be held at t = 0 or at the t of the others. For comparison, the cascade reads it as a prompt, and
PAPER is also given it as a prompt.
"""

from collections.abc import Mapping
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from codi_minimal.codi import CoDi
from codi_minimal.data import load
from codi_minimal.data.scenes import SAMPLES_PER_ONSET
from codi_minimal.data.world import World
from codi_minimal.evaluation.agreement import agreement
from codi_minimal.evaluation.coherence import ATTRIBUTES, CHANCES, MODALITIES, NEAR_ONSET
from codi_minimal.evaluation.generation import BatchedModel, scene_generator
from codi_minimal.evaluation.readers import items_of, read
from codi_minimal.evaluation.report import command, save, table
from codi_minimal.evaluation.sections import measure_cells
from codi_minimal.evaluation.statistics import share
from codi_minimal.experiments.base import Place, one_by_one, run_of
from codi_minimal.experiments.together import MEASURES
from codi_minimal.inputs import check_whole
from codi_minimal.recipes import CASCADE, PAPER

WAYS = {  # title → recipe, and what the real stream is to `generate`
    "paper, t = 0": (PAPER, "given"),
    "paper, same t": (replace(PAPER, given="same t"), "given"),
    "cascade": (CASCADE, "given"),
    "paper, a prompt": (PAPER, "prompts"),
}
AROUND = (  # the given streams, and what is generated around them
    *(((given,), output) for given, output in permutations(MODALITIES, 2)),
    (("image", "audio"), "video"),
    (("text", "audio"), "video"),
    (("text", "video"), "audio"),
    (("text", "image"), "audio"),
)
TIMED = ((("video",), "audio"), (("audio",), "video"))  # the cells whose onsets are looked at more closely
COUNTED = (*ATTRIBUTES, NEAR_ONSET)
OFFSETS, SHIFTS = range(-3, 4), range(4)  # frames


def given(
    model: CoDi,
    data: Place,
    out: Path,
    samples: int = 200,
    seed: int = 0,
    workers: int = 1,
    progress: bool = True,
    split: str = "validation",
) -> dict[str, Any]:
    """Measure each way with the same scenes and noise, and in the precision of the model's recipe (`autocast`).

    A run that was stopped goes on at the way it was in: `out` has a file for each. `PAPER.given` was chosen on `split`
    "validation"; "test" is for the report.

    Returns:
        "ways": title → "cells" (cell → attribute → share), "offsets" and "control" of the cells `TIMED`: see `onsets`.
    """
    check_whole("samples", samples, 1)
    world, autocast = World(load(data, split, model.config.train.split_seed)), model.recipe.autocast
    ways = {title: (replace(recipe, autocast=autocast), role) for title, (recipe, role) in WAYS.items()}
    run = run_of(model, world.source, samples=samples, seed=seed)
    asked = {title: run | {"recipe": recipe.to_dict(), "role": role} for title, (recipe, role) in ways.items()}

    def way(title: str) -> dict[str, Any]:
        recipe, role = ways[title]
        return measure(BatchedModel(model, seed, {"recipe": recipe}, workers=workers, role=role), world, samples)

    found = one_by_one(out / "ways", asked, way, samples, progress)
    other = None if split == "validation" else split
    options = {"split": other, "samples": samples, "seed": seed, "autocast": autocast}
    made_by = command("experiment given", data="DATA", **options)
    report = {"command": made_by, "source": world.source.name, "split": split, "ways": found}
    return save(out, "given", report, markdown(report))


def measure(model: BatchedModel, world: World, n: int) -> dict[str, dict[str, Any]]:
    """All figures of one way."""
    cells, timed = {}, {}
    for i, (names, output) in enumerate(AROUND):
        ((cell, made, scores),) = measure_cells(model, world, n, i, names, [(output,)])
        cells[cell] = {name: x for name, x in scores[output].items() if name in COUNTED and x.n}
        if (names, output) in TIMED:
            scene, renders = world.sample(n, scene_generator(model.seed, i))  # the same again
            timed[cell] = onsets(names[0], renders[names[0]], output, made[output], items_of(names, scene))
    return {"cells": cells} | {part: {cell: x[part] for cell, x in timed.items()} for part in ("offsets", "control")}


def onsets(name: str, real: Tensor, output: str, made: Tensor, items: list[Tensor]) -> dict[str, dict[str, Any]]:
    """The onsets of n outputs beside those of the real streams that they were made around.

    Returns:
        "offsets": how many frames later outputs start → share of all; "other": further off, or an onset is missing.
        "control": the agreement with the real streams after they were shifted by 0 … 3 frames, exact and within one. It
        falls with the shift, and at 0 it is the measure itself: a measure of anything else would not change.
    """
    shown = read(output, made)
    both = read(name, real)["onset"], shown["onset"]
    late, legible = both[1] - both[0], (torch.stack(both) >= 0).all(0)
    offsets = {f"{k:+d}": share((late == k) & legible, items=items) for k in OFFSETS}
    offsets["other"] = share(~legible | (late.abs() > max(OFFSETS)), items=items)
    shifted = {k: {name: read(name, later(real, k)), output: shown} for k in SHIFTS}
    agreed = {k: agreement("onset", readings, items) for k, readings in shifted.items()}
    control = {f"shifted by {k}{at}": x[what] for k, x in agreed.items() for what, at in MEASURES.items()}
    return {"offsets": offsets, "control": control}


def later(x: Tensor, k: int) -> Tensor:
    """Clips (n, f, 3, h, w) or recordings (n, samples), k frames later: first there is a still, or silence."""
    if x.ndim == 2:
        return F.pad(x, (k * SAMPLES_PER_ONSET, 0))[:, : x.shape[1]]
    return torch.cat([x[:, :1]] * k + [x], dim=1)[:, : x.shape[1]]


def markdown(report: Mapping[str, Any]) -> str:
    """Three tables with a row for each figure and a column for each way."""
    ways = report["ways"]

    def part(name: str, **last: Mapping[str, float]) -> str:
        """The figures of one part; `last` is a further column, which has the same value in all cells."""
        found = [(cell, what) for x in ways.values() for cell, figures in x[name].items() for what in figures]
        lines = [
            (f"{cell}: {what}", *(x[name][cell].get(what) for x in ways.values()), *(x[what] for x in last.values()))
            for cell, what in dict.fromkeys(found)
        ]
        return table(("", *ways, *last), lines)

    return f"""# Outputs around a stream that is given

`{report["command"]}`. Data: {report["source"]}, {report["split"]} split. T, I, A, V: text, image, audio, video.
Brackets hold 95 % intervals.

How often an output shows what the given streams do, as far as both carry it. Of captions, those are counted that
mention the attribute.

{part("cells", chance=CHANCES)}

How many frames later than the given stream the output starts, as a share of all samples.

{part("offsets")}

A control: how often the onsets agree, exactly and within one frame, where the given stream is shifted after the output
was made around it.

{part("control")}
"""
