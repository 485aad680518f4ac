"""From the paper to what ships: what each addition buys, one recipe a row.

Each addition is switched on in PAPER, and switched off in SHIPPED. CASCADE makes one output after the other; a joint
method must beat it. Outputs that are made apart agree by chance alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from time import perf_counter
from typing import Any

from tqdm import tqdm

from codi_minimal.checkpoint import fingerprint
from codi_minimal.codi import CoDi
from codi_minimal.data.world import World
from codi_minimal.evaluation.agreement import QUESTIONS, Question, answer, ask, chance, prompts_of
from codi_minimal.evaluation.coherence import MODALITIES, letters
from codi_minimal.evaluation.generation import BatchedModel, scene_generator
from codi_minimal.evaluation.progress import Progress
from codi_minimal.evaluation.quality import entropy_estimate, frechet_estimate
from codi_minimal.evaluation.readers import CHANCE, items_of, read, shipped_judges
from codi_minimal.evaluation.report import command, save, table
from codi_minimal.evaluation.sections import measure_cells
from codi_minimal.evaluation.statistics import Estimate, average
from codi_minimal.experiments.base import Place, validation
from codi_minimal.inputs import check_whole
from codi_minimal.recipes import CASCADE, PAPER, SHIPPED

ASKED = QUESTIONS[:3]  # digit, colour and onset
PAIRS = tuple(Question("digit", pair, digit_said=False) for pair in combinations(MODALITIES, 2))
# rows; pairs double what a row costs, and silent text stands beside pairs without text alone
WITH_PAIRS = ("paper", "paper + silent_text", "shipped", "shipped - silent_text", "cascade", "shipped, apart")
MEASURES = {"all": "", "within one frame": " ±1"}  # of `agreement.answer`, and what it adds to the name of a column
CELLS = (("text", "image"), ("image", "audio"), ("image", "image"), ("audio", "video"))
FOLLOWED = ("digit", "onset")  # attributes of the prompt
IN_SAMPLING = {"outputs", "prompt", "tokens", "scale", "loop", "finished"}
NEEDS = {"arrivals": {"stagger"}}  # without it all streams finish at once


def rows() -> dict[str, dict[str, Any]]:
    """Title → arguments of `generate`. An addition that acts in training or in encoders alone has no row."""
    used = {a.name: a for a in SHIPPED.additions if IN_SAMPLING & vars(type(a)).keys()}
    used.pop("centring", None)  # encoders are centred under any recipe
    slowest = max(map(SHIPPED.steps_of, MODALITIES))  # at the same t all streams take the same number of steps
    plain = replace(SHIPPED, name="paper, sampled as shipped", steps=slowest, additions=())
    found = {"paper": {"recipe": PAPER}, "paper + sampler, steps, guidance": {"recipe": plain}}
    for name in used:
        on = {other: used[other] for other in used if other == name or other in NEEDS.get(name, ())}
        found["paper + " + " + ".join(on)] = {"recipe": replace(PAPER, additions=tuple(on.values()))}
    found["shipped"] = {"recipe": SHIPPED}
    for name in used:
        off = SHIPPED.without(name)
        in_turn = any("loop" in vars(type(a)) for a in off.additions)
        found[f"shipped - {name}"] = {"recipe": off if in_turn else replace(off, steps=slowest)}
    return found | {"cascade": {"recipe": CASCADE}, "shipped, apart": {"recipe": SHIPPED, "joint": False}}


def additions(
    model: CoDi, data: Place, out: Path, samples: int = 300, seed: int = 0, workers: int = 1, progress: bool = True
) -> dict[str, Any]:
    """Measure each row with the same prompts and noise, and in the precision of the model's recipe (`autocast`).

    A run that was stopped goes on at the row it was in: `out` has a file for each. `workers` is the number of processes
    that generate.

    Returns:
        "rows": title → "agreement", "pairs" (in WITH_PAIRS alone) and "quality", each figure by its name.
    """
    check_whole("samples", samples, 2)  # distances need a spread
    world, autocast, found = World(validation(model, data)), model.recipe.autocast, {}
    run = {"weights": fingerprint(model), "judges": fingerprint(shipped_judges()), "source": world.source.identity}
    for title, options in tqdm(rows().items(), desc="additions", disable=not progress):
        options |= {"recipe": replace(options["recipe"], autocast=autocast)}
        asked = options | {"recipe": options["recipe"].to_dict(), "samples": samples, "seed": seed}
        done = Progress(out / "rows" / f"{title.replace(' ', '')}.json", run | asked)
        if not done.sections:
            pairs = PAIRS if title in WITH_PAIRS else ()
            start, batched = perf_counter(), BatchedModel(model, seed, options, workers=workers)
            result = measure(batched, world, samples, pairs)
            done.keep(title, result, perf_counter() - start, samples)
        found[title] = done.sections[title]["result"]
    columns = found["paper"]["quality"]
    found["chance"] = {
        "agreement": {column(q, what): p for q in ASKED for what, p in chance(q).items()},
        "pairs": {column(q, what): p for q in PAIRS for what, p in chance(q).items()},
        "quality": {name: CHANCE[a] for name in columns for a in FOLLOWED if name.startswith(a)},
    }
    made_by = command("experiment additions", data="DATA", samples=samples, seed=seed, autocast=autocast)
    report = {"command": made_by, "source": world.source.name, "rows": found}
    return save(out, "additions", report, markdown(report))


def column(question: Question, what: str) -> str:
    """The name of a column, as "onset AV ±1"."""
    return f"{question.attribute} {letters(question.outputs)}{MEASURES[what]}"


def measure(model: BatchedModel, world: World, n: int, pairs: Sequence[Question] = PAIRS) -> dict[str, dict[str, Any]]:
    """All figures of one row."""
    made: dict[Any, dict[str, Any]] = {}
    followed: dict[str, Estimate] = {}
    agreed: dict[str, dict[str, Estimate]] = {"agreement": {}, "pairs": {}}
    for i, (prompt, output) in enumerate(CELLS):
        ((cell, made[cell], scores),) = measure_cells(model, world, n, i, (prompt,), [(output,)])
        followed |= {f"{a} {cell}": found for a, found in scores[output].items() if a in FOLLOWED and found.n}
    for question in (*ASKED, *pairs):
        made[question] = ask(question, model, n)
        shares = answer(question, made[question])
        part = "agreement" if question in ASKED else "pairs"
        agreed[part] |= {column(question, what): shares[what] for what in MEASURES if what in shares}
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
    return agreed | {"quality": followed | quality | cost(model.model, model.options)}


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
    """Three tables with a line for each row."""

    def part(name: str) -> str:
        found = {title: row[name] for title, row in report["rows"].items() if row[name]}
        columns = list(next(iter(found.values())))
        return table(("", *columns), [(title, *map(row.get, columns)) for title, row in found.items()])

    return f"""# From the paper to what ships

`{report["command"]}`. Data: {report["source"]}, validation split. T, I, A, V: text, image, audio, video. Brackets hold
95 % intervals.

How often outputs agree: the digit under no prompt, colour and onset under a text that gives the digit alone.

{part("agreement")}

How often the two outputs of a pair agree on the digit, under no prompt.

{part("pairs")}

How often the digit is the prompt's; the entropy of the colours of images under no prompt, over its maximum; the Fréchet
distance of images from text, of which this n adds the bias; what a sample of all four outputs from a caption costs.

{part("quality")}
"""
