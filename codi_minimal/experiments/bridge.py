"""Two roads between streams that were never trained together: straight across, or over text denoised beside them.

Straight: they attend to each other's environment, which was aligned through text. The bridge: text, which every stream
was trained with, is generated silently beside them, and thrown away; they see it alone, or it and each other.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from codi_minimal.codi import BRIDGE, DEFAULTS, CoDi
from codi_minimal.evaluation.agreement import Question, answer, ask, chance
from codi_minimal.evaluation.generation import BatchedModel
from codi_minimal.evaluation.report import table
from codi_minimal.experiments.base import command, save

NEVER_PAIRED = (
    Question("digit", ("image", "audio"), digit_said=False),
    Question("digit", ("image", "video"), digit_said=False),
    Question("colour", ("image", "video"), digit_said=False),
    Question("colour", ("image", "video"), digit_said=True),
)
FIXED = {"arrivals": False}  # a stream stays a stream: the question is what V says
STAGGERS = (0.0, DEFAULTS["stagger"])


def roads(outputs: Sequence[str]) -> dict[str, dict[str, Any]]:
    """For each road arguments of `generate`."""
    over_text = {BRIDGE: tuple(outputs), **dict.fromkeys(outputs, (BRIDGE,))}
    return {
        "straight across": {"bridge": False},
        "over text alone": {"bridge": True, "wiring": over_text},
        "both": {"bridge": True},
    }


def bridge(
    model: CoDi,
    data: str | Path | None,
    out: str | Path,
    samples: int = 100,
    seed: int = 0,
    progress: bool = True,
) -> dict[str, Any]:
    """Do streams that were never trained together agree, by each road? Writes bridge.json and bridge.md.

    Args:
        model: as trained. data: not needed, for nothing is trained and prompts are captions.
        out: folder. samples: for each figure. seed: of the samples.

    Returns:
        Agreement by question, road and stagger; of plain JSON types.
    """
    report: dict[str, Any] = {"command": command("bridge", samples=samples, seed=seed), "agreement": {}}
    for question in tqdm(NEVER_PAIRED, desc="bridge", disable=not progress):
        found: dict[str, Any] = {}
        for road, options in roads(question.outputs).items():
            for stagger in STAGGERS:
                made = ask(question, BatchedModel(model, seed, FIXED | {"stagger": stagger, **options}), samples)
                found[f"{road}, {start(stagger)}"] = answer(question, made)["all"]
        report["agreement"][question.title] = found | {"chance": chance(question)["all"]}
    return save(Path(out), "bridge", report, markdown(report))


def start(stagger: float) -> str:
    """In words how streams start."""
    return f"one after the other, {stagger:g} apart" if stagger else "all at once"


def markdown(report: dict[str, Any]) -> str:
    """One table: a row a road, a column a question."""
    answers = report["agreement"]
    roads_taken = next(iter(answers.values()))
    rows = [(road, *(found[road] for found in answers.values())) for road in roads_taken]
    return f"""# Streams that were never trained together

`{report["command"]}`. How often they agree, with 95 % intervals.

{table(("road", *answers), rows)}
"""
