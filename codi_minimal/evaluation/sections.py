"""The sections of the report, one function each: what is generated for it, and what is counted."""

from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import Any

import torch

from codi_minimal.config import MODALITIES
from codi_minimal.data import WRITTEN, Scene
from codi_minimal.data.world import World
from codi_minimal.evaluation.agreement import QUESTIONS, answer, ask, chance, similarity
from codi_minimal.evaluation.coherence import SUBSETS, Scores, cell_name, coherence, said_by
from codi_minimal.evaluation.generation import BatchedModel, scene_generator, to_device
from codi_minimal.evaluation.parts import COMPOSITIONS, follows, prompts_for
from codi_minimal.evaluation.quality import entropy_estimate, fidelity, frechet_estimate, spread_estimate
from codi_minimal.evaluation.readers import CHANCE, items_of, read, shipped_judges
from codi_minimal.inputs import join, slices

Names = tuple[str, ...]
# by name: samples of all modalities, and the scenes that they are renders of; None where a model made them up
Sets = dict[str, tuple[Mapping[str, Any], Scene | None]]


def real_renders(model: Any, world: World, n: int, seed: int, like: Scene | None = None) -> Sets:
    """Renders of n scenes, with captions as a model learns to write them, reconstructions of them, and n other ones.

    `like`: n scenes. All sets have their attributes, by other hands and voices.
    """
    scene, renders = world.sample(n, scene_generator(seed, 1), WRITTEN, like)
    rebuilt = {name: _reconstruct(model, name, renders[name]) for name in MODALITIES}
    other_scene, other = world.sample(n, scene_generator(seed, 2), like=like)
    return {"real": (renders, scene), "reconstruction": (rebuilt, scene), "other": (other, other_scene)}


@torch.no_grad()
def _reconstruct(model: Any, name: str, data: Any) -> Any:
    autoencoder, batches = model.modalities[name].autoencoder, (data[rows] for rows in slices(len(data)))
    rebuilt = [autoencoder.decode(autoencoder.encode(to_device(x, model.device))) for x in batches]
    return to_device(join(rebuilt), "cpu")


def measure_ceilings(real: Sets) -> dict[str, Any]:
    """What the judges read in real renders and in reconstructions, and the errors of the latter."""
    (renders, scene), (rebuilt, _) = real["real"], real["reconstruction"]
    said, ceilings = said_by(renders, scene), {"real": {}, "reconstruction": {}}
    for which in ceilings:
        for name in MODALITIES:  # the renders of each modality share its own items
            ceilings[which] |= coherence(said, {name: real[which][0][name]}, items_of([name], scene))
    return {"ceilings": ceilings, "fidelity": fidelity(renders, rebuilt, scene)}


def measure_cells(
    model: BatchedModel, world: World, n: int, stream: int, names: Names, sets: Sequence[Names]
) -> Iterator[tuple[str, dict[str, Any], Scores]]:
    """For each set of outputs, n samples from the prompts `names`: the name of the cell, the samples, their coherence.

    The prompts are of n scenes, which `scene_generator` draws for the stream.
    """
    scene, renders = world.sample(n, scene_generator(model.seed, stream))
    prompts, items = {name: renders[name] for name in names}, items_of(names, scene)
    said = said_by(prompts, scene)
    for outputs, made in zip(sets, model.many([(prompts, outputs) for outputs in sets], n), strict=True):
        yield cell_name(names, outputs), made, coherence(said, made, items)


def measure_single(model: BatchedModel, world: World, real: Sets, n: int) -> dict[str, Any]:
    """The 16 cells of one prompt and one output; and the quality and variety of what was made from text.

    "matched": the quality beside renders that have the attributes of the texts' scenes.
    """
    cells, from_text, outputs = {}, {}, [(name,) for name in MODALITIES]
    for i, prompt in enumerate(MODALITIES):
        for cell, made, scores in measure_cells(model, world, n, 3 + i, (prompt,), outputs):
            cells[cell] = scores
            if prompt == MODALITIES[0]:
                from_text |= made
    scene, _ = world.sample(n, scene_generator(model.seed, 3))  # that of the texts again
    matched = real_renders(model.model, world, n, model.seed, scene)
    found = {"cells": cells} | measure_quality(from_text, real)
    return found | {"matched": measure_quality(from_text, matched)["quality"]}


def measure_row(
    model: BatchedModel, world: World, n: int, names: Names, known: Mapping[str, Scores]
) -> dict[str, Scores]:
    """The 15 cells of one set of prompts; those that are known already are not generated again."""
    row = {cell_name(names, outputs): outputs for outputs in SUBSETS}
    new = [outputs for cell, outputs in row.items() if cell not in known]
    measured = measure_cells(model, world, n, 10 + SUBSETS.index(names), names, new)
    found = known | {cell: scores for cell, _, scores in measured}
    return {cell: found[cell] for cell in row}


def measure_parts(model: BatchedModel, world: World, n: int) -> dict[str, dict[str, Any]]:
    """Several prompts, each of which gives a part."""
    scores = {}
    for i, composition in enumerate(COMPOSITIONS):
        scene, renders = world.sample(n, scene_generator(model.seed, 40 + i))
        made = model(prompts_for(composition, scene, renders, model.seed), (composition.output,), n)
        given = [name for name, _ in composition.prompts]
        samples = {"made": (made, given), "real": (renders, [composition.output])}
        scores[composition.title] = {
            how: follows(composition, scene, some[composition.output], items_of(names, scene))
            for how, (some, names) in samples.items()
        } | {"chance": prod(CHANCE[name] for name in composition.asked)}
    return scores


def measure_agreement(
    model: BatchedModel, real: Sets, n: int, apart: int
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Do streams agree on what no prompt gives, and does it stay open?

    Returns:
        "answers": of each question those of n joint samples, of samples made apart, of real renders, and chance;
        "entropy" of the joint samples. And these samples, by the title of the question.
    """
    answers, entropy, joint = {}, {}, {}
    asked: dict[tuple[tuple[str, ...], bool], tuple[dict[str, Any], dict[str, Any]]] = {}  # some have the same samples
    for question in QUESTIONS:
        key = (question.outputs, question.digit_said)
        if key not in asked:
            asked[key] = ask(question, model, n), ask(question, model, apart, joint=False)
        made, by_itself = asked[key]
        joint[question.title] = made
        sets = {"joint": (made, None), "apart": (by_itself, None), "real": real["real"]}
        answers[question.title] = {"chance": chance(question)}
        for how, (some, scene) in sets.items():
            some, items = {name: some[name] for name in question.outputs}, items_of(question.outputs, scene)
            answers[question.title][how] = answer(question, some, items) | similarity(model.model, some, items)
        entropy[question.title] = {
            name: {
                attribute: entropy_estimate(values, attribute)
                for attribute, values in read(name, samples).items()
                if not (question.digit_said and attribute == "digit")
            }
            for name, samples in made.items()
        }
    return {"answers": answers, "entropy": entropy}, joint


def measure_quality(made: Mapping[str, Any], real: Sets) -> dict[str, dict[str, Any]]:
    """How samples that text made, and reconstructions, compare with real renders.

    Returns:
        "quality": Fréchet distances, all of equal n, to other real renders. "spread": the variety within a digit.
    """
    judges, sets, result = shipped_judges(), real | {"generated": (made, None)}, {"quality": {}, "spread": {}}
    for name in judges.looks:
        looks = {which: judges.look(name, samples[name]) for which, (samples, _) in sets.items()}
        items = {which: items_of([name], scene) for which, (_, scene) in sets.items()}
        n = min(len(features) for _, features in looks.values())
        few = {which: (looks[which][1][:n], [x[:n] for x in items[which]]) for which in sets}
        b, b_items = few.pop("other")
        result["quality"][name] = {which: frechet_estimate(a, b, own, b_items) for which, (a, own) in few.items()}
        result["spread"][name] = spread_estimate(*looks["generated"], *looks["real"], items["real"])
    return result
