"""Prompts taken as they are, or said in captions first: what `CaptionMemory` does for pairs that were never trained."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

from tqdm import tqdm

from codi_minimal.codi import CoDi
from codi_minimal.data.world import World
from codi_minimal.evaluation.coherence import coherence, said_by
from codi_minimal.evaluation.generation import BatchedModel, scene_generator
from codi_minimal.evaluation.readers import items_of, shipped_judges
from codi_minimal.evaluation.report import table
from codi_minimal.experiments.base import command, forgetful, save, validation

OUTPUTS = ("text", "image", "audio")
ATTRIBUTE = "digit"  # the one that all modalities carry


def memory(
    model: CoDi,
    data: str | Path | None,
    out: str | Path,
    samples: int = 200,
    seed: int = 0,
    progress: bool = True,
) -> dict[str, Any]:
    """Coherence with and without the memory, for prompts of each modality; writes memory.json and memory.md.

    Args:
        model: as trained. data: see `data.load`. out: folder. samples: a cell. seed: of scenes and samples.

    Returns:
        Shares of right digits by output, prompt, and way; the same scenes and noise both ways. Plain JSON types.
    """
    world, judges, batched = World(validation(model, data)), shipped_judges(), BatchedModel(model, seed)
    ways = {"as they are": forgetful, "said in captions": nullcontext}
    report: dict[str, Any] = {"command": command("memory", samples=samples, seed=seed), "coherence": {}}
    cells = [(output, i, prompt) for output in OUTPUTS for i, prompt in enumerate(model.modalities)]
    for output, i, prompt in tqdm(cells, desc="memory", disable=not progress):
        scene, renders = world.sample(samples, scene_generator(seed, i))
        given, found = {prompt: renders[prompt]}, {}
        for way, context in ways.items():
            with context(model):
                made = batched(given, (output,), samples)
            found[way] = coherence(said_by(given, scene), made, judges, items_of([prompt], scene))[output][ATTRIBUTE]
        report["coherence"].setdefault(output, {})[prompt] = found
    return save(Path(out), "memory", report, markdown(report))


def markdown(report: dict[str, Any]) -> str:
    """One table: a row an output and a way, a column a prompt."""
    found = report["coherence"]
    prompts = list(next(iter(found.values())))
    ways = list(found[OUTPUTS[0]][prompts[0]])
    rows = [(f"{output}, prompts {way}", *(found[output][p][way] for p in prompts)) for output in found for way in ways]
    return f"""# Prompts said in captions

`{report["command"]}`. Data: validation split.
The share of outputs whose {ATTRIBUTE} is the prompt's, with 95 % intervals.

{table(("output", *(f"from {p}" for p in prompts)), rows)}
"""
