"""The sections of the report, one function each: what is generated for it, and what is counted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch

from codi_minimal.data import WRITTEN, Scene
from codi_minimal.data.world import World
from codi_minimal.evaluation.agreement import QUESTIONS, answer, ask, chance
from codi_minimal.evaluation.classifiers import Judges
from codi_minimal.evaluation.coherence import MODALITIES, SUBSETS, Scores, cell_name, coherence, said_by
from codi_minimal.evaluation.diversity import normalised_entropy, spread_ratio
from codi_minimal.evaluation.fidelity import fidelity
from codi_minimal.evaluation.frechet import frechet_estimate
from codi_minimal.evaluation.generation import BatchedModel, part, scene_generator, to_device
from codi_minimal.evaluation.parts import COMPOSITIONS, follows, prompts_for
from codi_minimal.evaluation.readers import CHANCE, LEGAL, items_of, read
from codi_minimal.evaluation.similarity import similarity
from codi_minimal.evaluation.statistics import Estimate, jackknife
from codi_minimal.inputs import join


@dataclass(frozen=True)
class Real:
    """Real renders of n scenes, the autoencoders' reconstructions of them, and renders of n other scenes."""

    scene: Scene
    renders: dict[str, Any]
    rebuilt: dict[str, Any]
    other_scene: Scene
    other: dict[str, Any]


def real_renders(model: Any, world: World, n: int, seed: int) -> Real:
    """Draw them, with captions as a model learns to write them."""
    scene, renders = world.sample(n, scene_generator(seed, 1), WRITTEN)
    rebuilt = {name: _reconstruct(model, name, renders[name]) for name in MODALITIES}
    return Real(scene, renders, rebuilt, *world.sample(n, scene_generator(seed, 2)))


@torch.no_grad()
def _reconstruct(model: Any, name: str, data: Any, batch: int = 64) -> Any:
    autoencoder, device = model.modalities[name].autoencoder, getattr(model, "device", "cpu")
    batches = [to_device(part(data, i, i + batch), device) for i in range(0, len(data), batch)]
    return to_device(join([autoencoder.decode(autoencoder.encode(x)) for x in batches]), "cpu")


def measure_ceilings(real: Real, judges: Judges) -> dict[str, Any]:
    """What the judges read in real renders and in reconstructions, and the errors of the latter."""
    said, ceilings = said_by(real.renders, real.scene), {}
    for which, samples in {"real": real.renders, "reconstruction": real.rebuilt}.items():
        ceilings[which] = {}
        for name in MODALITIES:  # the renders of each modality share its own items
            ceilings[which] |= coherence(said, {name: samples[name]}, judges, items_of([name], real.scene))
    return {"ceilings": ceilings, "fidelity": fidelity(real.renders, real.rebuilt, real.scene)}


def measure_single(model: BatchedModel, world: World, real: Real, judges: Judges, n: int) -> dict[str, Any]:
    """The 16 cells of one prompt and one output; and the quality and variety of what was made from text."""
    cells, from_text = {}, {}
    for i, prompt in enumerate(MODALITIES):
        scene, renders = world.sample(n, scene_generator(model.seed, 3 + i))
        prompts, items = {prompt: renders[prompt]}, items_of([prompt], scene)
        for output, made in zip(MODALITIES, model.many([(prompts, (m,)) for m in MODALITIES], n), strict=True):
            cells[cell_name((prompt,), (output,))] = coherence(said_by(prompts, scene), made, judges, items)
            if prompt == MODALITIES[0]:
                from_text |= made
    return {
        "cells": cells,
        "quality": measure_quality(from_text, real, judges),
        "spread": measure_spread(from_text, real, judges),
    }


def measure_row(
    model: BatchedModel, world: World, judges: Judges, n: int, names: Sequence[str], known: Mapping[str, Scores]
) -> dict[str, Scores]:
    """The 15 cells of one set of prompts; those that are known already are not generated again."""
    scene, renders = world.sample(n, scene_generator(model.seed, 10 + SUBSETS.index(names)))
    prompts, items = {name: renders[name] for name in names}, items_of(names, scene)
    said = said_by(prompts, scene)
    row = {cell_name(names, outputs): outputs for outputs in SUBSETS}
    new = {cell: (prompts, outputs) for cell, outputs in row.items() if cell not in known}
    made = zip(new, model.many(list(new.values()), n), strict=True)
    found = {cell: coherence(said, samples, judges, items) for cell, samples in made}
    return {cell: (known | found)[cell] for cell in row}


def measure_parts(model: BatchedModel, world: World, judges: Judges, n: int) -> dict[str, dict[str, Any]]:
    """Several prompts, each of which gives a part."""
    scores = {}
    for i, composition in enumerate(COMPOSITIONS):
        scene, renders = world.sample(n, scene_generator(model.seed, 40 + i))
        made = model(prompts_for(composition, scene, renders, model.seed), (composition.output,), n)
        samples = {"made": (made, composition.others), "real": (renders, [composition.output])}
        scores[composition.title] = {
            how: follows(composition, scene, some[composition.output], judges, items_of(names, scene))
            for how, (some, names) in samples.items()
        } | {"chance": prod(CHANCE[name] for name in composition.asked)}
    return scores


def measure_agreement(
    model: BatchedModel, real: Real, judges: Judges, n: int, apart: int
) -> tuple[dict[str, dict], dict[str, dict]]:
    """Of each question the answers of joint samples (n), of samples made apart, of real renders, and chance.

    Returns:
        The answers and the joint samples, by title.
    """
    answers, joint = {}, {}
    for question in QUESTIONS:
        made = {"joint": ask(question, model, n), "apart": ask(question, model, apart, joint=False)}
        joint[question.title] = made["joint"]
        samples = {how: (some, None) for how, some in made.items()} | {"real": (real.renders, real.scene)}
        answers[question.title] = {"chance": chance(question)}
        for how, (some, scene) in samples.items():
            some, items = {name: some[name] for name in question.outputs}, items_of(question.outputs, scene)
            found = answer(question, some, judges, items) | similarity(model.model, some, items)
            answers[question.title][how] = found
    return answers, joint


def measure_quality(made: Mapping[str, Any], real: Real, judges: Judges) -> dict[str, dict[str, Any]]:
    """Fréchet distances to real renders, all of equal n: of other real ones, of reconstructions, of what text made."""
    result = {}
    for name in judges.looks:
        n = min(len(made[name]), len(real.scene))
        other, items = judges.look(name, real.other[name][:n])[1], items_of([name], real.other_scene[:n])
        sets = {
            "real": (real.renders, real.scene[:n]),
            "reconstruction": (real.rebuilt, real.scene[:n]),
            "generated": (made, None),
        }
        result[name] = {
            which: frechet_estimate(judges.look(name, some[name][:n])[1], other, items_of([name], scene), items)
            for which, (some, scene) in sets.items()
        }
    return result


def measure_entropy(together: Mapping[str, dict], judges: Judges) -> dict[str, dict[str, dict[str, Estimate]]]:
    """Entropy of what prompts leave open in the joint samples of each question."""

    def entropy(values: torch.Tensor, attribute: str) -> Estimate:
        return jackknife(lambda i: normalised_entropy(values[i], LEGAL[attribute]), [len(values)], (0, 1))

    return {
        question.title: {
            name: {
                attribute: entropy(values, attribute)
                for attribute, values in read(name, samples, judges).items()
                if not (question.digit_said and attribute == "digit")
            }
            for name, samples in together[question.title].items()
        }
        for question in QUESTIONS
    }


def measure_spread(made: Mapping[str, Any], real: Real, judges: Judges) -> dict[str, Estimate]:
    """Variety within a digit of what text made, over that of real renders."""

    def spread(name: str) -> Estimate:
        (logits, a), (real_logits, b) = (judges.look(name, samples[name]) for samples in (made, real.renders))
        x, y = logits.argmax(1), real_logits.argmax(1)
        items = [len(a), *items_of([name], real.scene)]
        return jackknife(lambda i, j: spread_ratio(a[i], x[i], b[j], y[j]), items)

    return {name: spread(name) for name in judges.looks}
