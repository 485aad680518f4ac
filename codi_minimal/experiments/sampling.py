"""Guidance and steps: what they do to coherence and Fréchet distance, for each sampler."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from codi_minimal.codi import DEFAULTS, CoDi
from codi_minimal.data import Scene
from codi_minimal.data.world import World
from codi_minimal.evaluation.coherence import coherence, mean_coherence, said_by
from codi_minimal.evaluation.frechet import frechet_estimate
from codi_minimal.evaluation.generation import BatchedModel, scene_generator
from codi_minimal.evaluation.readers import items_of, shipped_judges
from codi_minimal.evaluation.report import table
from codi_minimal.evaluation.statistics import Estimate
from codi_minimal.experiments.base import command, save, validation
from codi_minimal.inputs import check_whole

PROMPT = "text"
GUIDANCE = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.5, 7.5)
START = (1.0, 0.9, 0.8, 0.7)  # shares of T below which guidance starts
UNTIL = (0.0, 0.2, 0.4, 0.6)  # shares of T at which guidance ends
STEPS = (5, 10, 15, 25, 50, 100)
SAMPLERS = ("ddim", "dpm-solver++", "ddpm")
NAMED = ("guidance", "guidance_start", "steps")  # by each `Modality`; they hold where it is not this that varies


def sampling(
    model: CoDi,
    data: str | Path | None,
    out: str | Path,
    samples: int = 100,
    seed: int = 0,
    progress: bool = True,
) -> dict[str, Any]:
    """From captions of the validation split to each modality, over guidance, and over steps and samplers.

    Args:
        model: as trained. data: see `data.load`. out: folder for sampling.json and sampling.md.
        samples: for each figure. seed: of prompts and samples.

    Returns:
        Under "guidance", "start", "until", "steps": for each setting and output {"coherence": mean over attributes,
        "fréchet"}; what holds "else", the defaults; and the "floor" of the distances, of other real renders.
    """
    check_whole("samples", samples, 2)  # distances need a spread
    judges, world = shipped_judges(), World(validation(model, data))
    scene, renders = world.sample(samples, scene_generator(seed, 0))
    other, real = world.sample(samples, scene_generator(seed, 1))
    prompts = {PROMPT: renders[PROMPT]}
    said, names = said_by(prompts, scene), list(model.modalities)
    quick = [name for name, m in model.modalities.items() if not m.costly]  # the others' steps are not varied

    def distance(name: str, made: Mapping[str, Any], of: Scene | None = None) -> Estimate | None:
        """Fréchet distance to real renders on a judge's features; `of` is the scene of what is itself a render."""
        if name not in judges.looks:
            return None
        a, b = (judges.look(name, samples[name])[1] for samples in (made, real))
        return frechet_estimate(a, b, items_of([name], of), items_of([name], other))

    def measure(outputs: Sequence[str], **options: Any) -> dict[str, dict[str, Estimate | None]]:
        result = {}
        for name in tqdm(outputs, desc=", ".join(f"{k} {v}" for k, v in options.items()), disable=not progress):
            made = BatchedModel(model, seed, options)(prompts, (name,), samples)
            result[name] = {
                "coherence": mean_coherence(coherence(said, made, judges)),
                "fréchet": distance(name, made),
            }
        return result

    report = {
        "command": command("sampling", samples=samples, seed=seed),
        "source": world.source.name,
        "else": {
            "sampler": DEFAULTS["sampler"],
            **{what: {name: getattr(m, what) for name, m in model.modalities.items()} for what in NAMED},
        },
        "floor": {name: distance(name, renders, scene) for name in names},
        "guidance": {f"{g:g}": measure(names, guidance=g) for g in GUIDANCE},
        "start": {f"{share:g} T": measure(names, guidance_start=share) for share in START},
        "until": {f"{share:g} T": measure(names, guidance_until=share) for share in UNTIL},
        "steps": {f"{sampler}, {n}": measure(quick, sampler=sampler, steps=n) for sampler in SAMPLERS for n in STEPS},
    }
    return save(Path(out), "sampling", report, markdown(report))


def markdown(report: Mapping[str, Any]) -> str:
    """Four tables: guidance, where it starts and ends, and steps of each sampler, all else at its default."""
    floor = ", ".join(f"{value.text(1)} ({name})" for name, value in report["floor"].items() if value is not None)
    elsewhere = "; ".join(f"{what} {_named(value)}" for what, value in report["else"].items())
    return f"""# Guidance and steps

`{report["command"]}`. Data: {report["source"]}, validation split. Where it is not this that varies: {elsewhere}.
Coherence: mean over attributes of the share that shows what the caption says. Fréchet distance to real renders, of
equal n, which adds a bias: between two sets of real ones it is {floor}. Brackets hold 95 % intervals.

{_table("guidance", report["guidance"])}

{_table("guidance starts below", report["start"])}

{_table("guidance ends at", report["until"])}

{_table("sampler, steps", report["steps"])}
"""


def _named(value: str | Mapping[str, float]) -> str:
    return value if isinstance(value, str) else ", ".join(f"{number:g} ({name})" for name, number in value.items())


def _table(what: str, settings: Mapping[str, Mapping[str, Mapping[str, Estimate | None]]]) -> str:
    columns = [
        (name, measure)
        for name, found in next(iter(settings.values())).items()
        for measure, value in found.items()
        if value is not None
    ]
    rows = [(setting, *(found[name][measure] for name, measure in columns)) for setting, found in settings.items()]
    return table((what, *(f"{name}: {measure}" for name, measure in columns)), rows)
