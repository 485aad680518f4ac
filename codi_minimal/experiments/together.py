"""Why outputs that are generated together agree: one recipe a row, with the same prompts and the same noise.

PAPER, PAPER with one setting changed in each row, SHIPPED, and two baselines. CASCADE makes one output after the other;
a joint method must beat it. Outputs that are made apart agree by chance alone.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

from codi_minimal.codi import CoDi
from codi_minimal.data.world import World
from codi_minimal.evaluation.agreement import QUESTIONS, Question, answer, ask, chance, prompts_of
from codi_minimal.evaluation.coherence import MODALITIES, letters
from codi_minimal.evaluation.generation import BatchedModel, scene_generator
from codi_minimal.evaluation.quality import entropy_estimate, frechet_estimate
from codi_minimal.evaluation.readers import CHANCE, items_of, read, shipped_judges
from codi_minimal.evaluation.report import command, save, table
from codi_minimal.evaluation.sections import measure_cells
from codi_minimal.evaluation.statistics import Estimate, average
from codi_minimal.experiments.base import Place, one_by_one, run_of, validation
from codi_minimal.inputs import check_whole
from codi_minimal.recipes import CASCADE, PAPER, SHIPPED

IMAGE_VIDEO = Question("digit", ("image", "video"), digit_said=False)  # a pair that no training step sees
ASKED = (*QUESTIONS[:3], IMAGE_VIDEO)  # digit, colour and onset
MEASURES = {"all": "", "within one frame": " ±1"}  # of `agreement.answer`, and what it adds to the name of a column
CELLS = (("text", "image"), ("image", "audio"), ("image", "image"), ("audio", "video"))
FOLLOWED = ("digit", "onset")  # attributes of the prompt


def rows() -> dict[str, dict[str, Any]]:
    """Title → arguments of `generate`: PAPER, and with one setting changed; what ships; and the baselines."""
    less: dict[str, dict[str, Any]] = {
        "without restart": {"sampler_beside": "ddpm"},
        "20 steps": {"steps_beside": 20},
        "15 steps of DPM-Solver++": {"sampler_beside": "dpm-solver++", "steps_beside": 15},
        "without the shift of clips": {"shift": 1.0},
        "with the guidance of one output": {"guidance_beside": None},
        "with guidance from the first step on": {"guidance_start": 1.0},
    }
    found = {"paper": {"recipe": PAPER}}
    found |= {f"paper, {title}": {"recipe": replace(PAPER, **changes)} for title, changes in less.items()}
    return found | {
        "shipped": {"recipe": SHIPPED},
        "cascade": {"recipe": CASCADE},
        "shipped, each output by itself": {"recipe": SHIPPED, "joint": False},
    }


def together(
    model: CoDi, data: Place, out: Path, samples: int = 150, seed: int = 0, workers: int = 1, progress: bool = True
) -> dict[str, Any]:
    """Measure each row with the same prompts and noise, and in the precision of the model's recipe (`autocast`).

    A run that was stopped goes on at the row it was in: `out` has a file for each. `workers` is the number of processes
    that generate.

    Returns:
        "rows": title → "agreement" and "quality", each figure by its name.
    """
    check_whole("samples", samples, 2)  # distances need a spread
    world, autocast = World(validation(model, data)), model.recipe.autocast
    settings = {title: of | {"recipe": replace(of["recipe"], autocast=autocast)} for title, of in rows().items()}
    run = run_of(model, world.source, samples=samples, seed=seed)
    asked = {title: run | of | {"recipe": of["recipe"].to_dict()} for title, of in settings.items()}

    def row(title: str) -> dict[str, Any]:
        return measure(BatchedModel(model, seed, settings[title], workers=workers), world, samples)

    found = one_by_one(out / "rows", asked, row, samples, progress)
    columns = found["paper"]["quality"]
    found["chance"] = {
        "agreement": {column(q, what): p for q in ASKED for what, p in chance(q).items()},
        "quality": {name: CHANCE[a] for name in columns for a in FOLLOWED if name.startswith(a)},
    }
    made_by = command("experiment together", data="DATA", samples=samples, seed=seed, autocast=autocast)
    report = {"command": made_by, "source": world.source.name, "rows": found}
    return save(out, "together", report, markdown(report))


def column(question: Question, what: str) -> str:
    """The name of a column, as "onset AV ±1"."""
    return f"{question.attribute} {letters(question.outputs)}{MEASURES[what]}"


def measure(model: BatchedModel, world: World, n: int) -> dict[str, dict[str, Any]]:
    """All figures of one row."""
    made: dict[Any, dict[str, Any]] = {}
    followed: dict[str, Estimate] = {}
    agreed: dict[str, Estimate] = {}
    for i, (prompt, output) in enumerate(CELLS):
        ((cell, made[cell], scores),) = measure_cells(model, world, n, i, (prompt,), [(output,)])
        followed |= {f"{a} {cell}": found for a, found in scores[output].items() if a in FOLLOWED and found.n}
    for question in ASKED:
        made[question] = ask(question, model, n)
        shares = answer(question, made[question])
        agreed |= {column(question, what): shares[what] for what in MEASURES if what in shares}
    colours = read("image", made[ASKED[0]]["image"])["colour"]
    scene, renders = world.sample(n, scene_generator(model.seed, len(CELLS)))
    looks = (shipped_judges().look("image", samples["image"])[1] for samples in (made["T → I"], renders))
    distance = frechet_estimate(*looks, items_b=items_of(["image"], scene))
    quality = {
        "mean digit": average((x for name, x in followed.items() if "digit" in name), independent=True),
        "entropy of colours": entropy_estimate(colours, "colour"),
        "Fréchet distance": distance,
        "bias of the distance": distance.bias,
    }
    return {"agreement": agreed, "quality": followed | quality | cost(model.model, model.options)}


def cost(model: CoDi, options: Mapping[str, Any], n: int = 16) -> dict[str, float]:
    """What one sample of all outputs from a caption costs; a guided step calls the denoiser twice."""
    calls: list[int] = []
    denoisers = [m.denoiser for m in model.modalities.values()]
    hooks = [net.register_forward_pre_hook(lambda _, given: calls.append(len(given[0]))) for net in denoisers]
    start = perf_counter()
    model.generate(prompts_of(True, n, 0), MODALITIES, **options)
    seconds = perf_counter() - start
    for hook in hooks:
        hook.remove()
    return {"denoiser calls": sum(calls) / n, "seconds": seconds / n}


def markdown(report: Mapping[str, Any]) -> str:
    """Two tables with a line for each row."""

    def part(name: str) -> str:
        found = {title: row[name] for title, row in report["rows"].items() if row[name]}
        columns = list(next(iter(found.values())))
        return table(("", *columns), [(title, *map(row.get, columns)) for title, row in found.items()])

    return f"""# Why outputs that are generated together agree

`{report["command"]}`. Data: {report["source"]}, validation split. T, I, A, V: text, image, audio, video. Brackets hold
95 % intervals.

How often outputs agree: the digit of all four, and of an image and a clip by themselves, under no prompt; colour and
onset under a text that gives the digit alone.

{part("agreement")}

How often the digit is the prompt's; the entropy of the colours of images under no prompt, over its maximum; the Fréchet
distance of images from text, and the part of it that is due to the small n; what a sample of all four outputs from a
caption costs.

{part("quality")}
"""
