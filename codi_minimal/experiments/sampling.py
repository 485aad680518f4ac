"""Guidance, steps and samplers: coherence and Fréchet distance of one output from a caption."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from codi_minimal.codi import CoDi
from codi_minimal.data import Scene
from codi_minimal.data.world import World
from codi_minimal.evaluation.coherence import mean_coherence
from codi_minimal.evaluation.generation import BatchedModel, scene_generator
from codi_minimal.evaluation.quality import frechet_estimate
from codi_minimal.evaluation.readers import items_of, shipped_judges
from codi_minimal.evaluation.report import command, save, table
from codi_minimal.evaluation.sections import measure_cells
from codi_minimal.evaluation.statistics import Estimate
from codi_minimal.experiments.base import Place, validation
from codi_minimal.inputs import check_whole

GUIDANCE = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.5, 7.5)
STEPS = (5, 10, 15, 25, 50, 100)
SAMPLERS = ("ddim", "dpm-solver++", "ddpm")


def sampling(
    model: CoDi, data: Place, out: Path, samples: int = 100, seed: int = 0, progress: bool = True
) -> dict[str, Any]:
    """From captions to each modality, with several guidance scales, numbers of steps and samplers.

    Returns:
        Under "guidance" and "steps": for each setting and output {"coherence": mean over attributes, "fréchet"}; the
        "recipe" has the settings that do not vary; "floor" is the distance between two sets of real renders.
    """
    check_whole("samples", samples, 2)  # distances need a spread
    judges, world = shipped_judges(), World(validation(model, data))
    scene, renders = world.sample(samples, scene_generator(seed, 0))
    other, real = world.sample(samples, scene_generator(seed, 1))
    quick = [name for name, m in model.modalities.items() if not m.costly]

    def distance(name: str, made: Mapping[str, Any], of: Scene | None = None) -> Estimate | None:
        """Fréchet distance to real renders on a judge's features; `of` is the scene where `made` are renders, too."""
        if name not in judges.looks:
            return None
        a, b = (judges.look(name, samples[name])[1] for samples in (made, real))
        return frechet_estimate(a, b, items_of([name], of), items_of([name], other))

    def measure(outputs: Sequence[str], **options: Any) -> dict[str, dict[str, Estimate | None]]:
        batched, title = BatchedModel(model, seed, options), ", ".join(f"{k} {v}" for k, v in options.items())
        cells = measure_cells(batched, world, samples, 0, ("text",), [(name,) for name in outputs])
        return {
            name: {"coherence": mean_coherence(scores), "fréchet": distance(name, made)}
            for _, made, scores in tqdm(cells, title, len(outputs), disable=not progress)
            for name in made
        }

    report = {
        "command": command("experiment sampling", data="DATA", samples=samples, seed=seed),
        "source": world.source.name,
        "recipe": model.recipe.to_dict(),
        "floor": {name: distance(name, renders, scene) for name in model.modalities},
        "guidance": {f"{g:g}": measure(list(model.modalities), guidance=g) for g in GUIDANCE},
        "steps": {f"{sampler}, {n}": measure(quick, sampler=sampler, steps=n) for sampler in SAMPLERS for n in STEPS},
    }
    return save(out, "sampling", report, markdown(report))


def markdown(report: Mapping[str, Any]) -> str:
    """Two tables: guidance, and the steps of each sampler."""
    floor = ", ".join(f"{value.text(1)} ({name})" for name, value in report["floor"].items() if value is not None)
    return f"""# Guidance and steps

`{report["command"]}`. Data: {report["source"]}, validation split. Recipe: {report["recipe"]["name"]}; one setting
varies.

Coherence: the share of outputs that show what the caption says, as a mean over attributes. Fréchet distance: to as many
real renders; between two sets of real ones it is {floor}. Brackets hold 95 % intervals.

{_table("guidance", report["guidance"])}

{_table("sampler, steps", report["steps"])}
"""


def _table(what: str, settings: Mapping[str, Mapping[str, Mapping[str, Estimate | None]]]) -> str:
    columns = [
        (name, measure)
        for name, found in next(iter(settings.values())).items()
        for measure, value in found.items()
        if value is not None
    ]
    rows = [(setting, *(found[name][measure] for name, measure in columns)) for setting, found in settings.items()]
    return table((what, *(f"{name}: {measure}" for name, measure in columns)), rows)
