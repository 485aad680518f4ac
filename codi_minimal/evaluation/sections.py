"""The sections of the report, one function each: what is generated for it, and what is counted."""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import torch

from codi_minimal.batches import join
from codi_minimal.data import WRITTEN
from codi_minimal.data.world import World
from codi_minimal.evaluation.agreement import QUESTIONS, answer, ask, chance, prompts_of
from codi_minimal.evaluation.classifiers import Judges
from codi_minimal.evaluation.coherence import MODALITIES, SUBSETS, Scores, cell_name, coherence, said_by
from codi_minimal.evaluation.diversity import normalised_entropy, spread_ratio
from codi_minimal.evaluation.frechet import frechet_distance
from codi_minimal.evaluation.parts import COMPOSITIONS, follows, prompts_for
from codi_minimal.evaluation.readers import CHANCE, LEGAL, read
from codi_minimal.evaluation.sampling import Sampler, part, scene_generator, to_device
from codi_minimal.evaluation.similarity import similarity


def measure_ceilings(model: Any, world: World, judges: Judges, n: int, seed: int) -> tuple[dict, dict[str, dict]]:
    """What the judges make of real renders and of the autoencoders' reconstructions; and both themselves."""
    scene, renders = world.sample(n, scene_generator(seed, 1), WRITTEN)  # captions as a model learns to write them
    rebuilt = {name: _reconstruct(model, name, renders[name]) for name in MODALITIES}
    samples = {"real": renders, "reconstruction": rebuilt}
    scores = {which: coherence(said_by(renders, scene), some, judges) for which, some in samples.items()}
    # distances are measured from renders that neither prompted nor were reconstructed
    return scores, samples | {"other": world.sample(n, scene_generator(seed, 2))[1]}


@torch.no_grad()
def _reconstruct(model: Any, name: str, data: Any, batch: int = 64) -> Any:
    autoencoder, device = model.modalities[name].autoencoder, getattr(model, "device", "cpu")
    batches = [to_device(part(data, i, i + batch), device) for i in range(0, len(data), batch)]
    return to_device(join([autoencoder.decode(autoencoder.encode(x)) for x in batches]), "cpu")


def measure_single(sampler: Sampler, world: World, judges: Judges, n: int) -> tuple[dict[str, Scores], dict[str, Any]]:
    """The 16 cells of one prompt and one output; and what was made from text, to measure its quality."""
    cells, from_text = {}, {}
    for i, prompt in enumerate(MODALITIES):
        scene, renders = world.sample(n, scene_generator(sampler.seed, 3 + i))
        prompts = {prompt: renders[prompt]}
        for output, made in zip(MODALITIES, sampler.many([(prompts, (m,)) for m in MODALITIES], n), strict=True):
            cells[cell_name((prompt,), (output,))] = coherence(said_by(prompts, scene), made, judges)
            if prompt == MODALITIES[0]:
                from_text |= made
    return cells, from_text


def measure_row(
    sampler: Sampler, world: World, judges: Judges, n: int, names: Sequence[str], known: Mapping[str, Scores]
) -> dict[str, Scores]:
    """The 15 cells of one set of prompts; those that are known already are not run again."""
    scene, renders = world.sample(n, scene_generator(sampler.seed, 10 + SUBSETS.index(names)))
    prompts = {name: renders[name] for name in names}
    said = said_by(prompts, scene)
    row = {cell_name(names, outputs): outputs for outputs in SUBSETS}
    made = sampler.many([(prompts, outputs) for cell, outputs in row.items() if cell not in known], n)
    return {cell: known.get(cell) or coherence(said, next(made), judges) for cell in row}


def measure_parts(sampler: Sampler, world: World, judges: Judges, n: int) -> dict[str, dict[str, Any]]:
    """Several prompts, each of which says a part."""
    scores = {}
    for i, composition in enumerate(COMPOSITIONS):
        scene, renders = world.sample(n, scene_generator(sampler.seed, 40 + i))
        made = sampler(prompts_for(composition, scene, renders, sampler.seed), (composition.output,), n)
        scores[composition.title] = {
            how: follows(composition, scene, some[composition.output], judges)
            for how, some in {"made": made, "real": renders}.items()
        } | {"chance": prod(CHANCE[name] for name in composition.asked)}
    return scores


def each_by_itself() -> dict[bool, tuple[str, ...]]:
    """Whether the digit is said → all outputs asked for: what is made by itself serves every question."""
    outputs: dict[bool, dict[str, None]] = {}
    for question in QUESTIONS:
        outputs.setdefault(question.digit_said, {}).update(dict.fromkeys(question.outputs))
    return {said: tuple(names) for said, names in outputs.items()}


def measure_agreement(
    sampler: Sampler, real: Mapping[str, Any], judges: Judges, n: int, apart: int
) -> tuple[dict, dict[str, dict[str, dict]]]:
    """Each question with joint generation (n) and without (apart), of real renders, by chance; and the samples."""
    alone = {
        said: sampler(prompts_of(said, apart, sampler.seed), names, apart, joint=False)
        for said, names in each_by_itself().items()
    }
    answers, samples = {}, {}
    for question in QUESTIONS:
        made = {
            "joint": ask(question, sampler, n),
            "apart": {name: alone[question.digit_said][name] for name in question.outputs},
        }
        samples[question.title] = made
        found = {how: answer(question, some, judges) for how, some in {**made, "real": real}.items()}
        answers[question.title] = {"n": n, **found, "chance": chance(question)}
    return answers, samples


def measure_similarity(model: Any, samples: Mapping[str, dict[str, dict]], real: Mapping[str, Any]) -> dict[str, dict]:
    """For each question the similarity of its outputs in the prompt space, and of real renders of one scene."""
    result = {}
    for title, made in samples.items():
        scenes = {name: real[name] for name in made["joint"]}
        result[title] = {how: similarity(model, some) for how, some in {**made, "real": scenes}.items()}
    return result


def measure_quality(
    made: Mapping[str, Any], real: Mapping[str, dict], judges: Judges
) -> dict[str, dict[str, float | int]]:
    """Fréchet distances to real renders, all of equal n: of real ones, reconstructions, what text made."""
    result = {}
    for name in judges.looks:
        n = min(len(made[name]), len(real["real"][name]))
        clouds = {which: samples[name] for which, samples in real.items()} | {"generated": made[name]}
        features = {which: judges.look(name, cloud[:n])[1] for which, cloud in clouds.items()}
        other = features.pop("other")
        result[name] = {"n": n} | {which: frechet_distance(cloud, other) for which, cloud in features.items()}
    return result


def measure_entropy(together: Mapping[str, dict], judges: Judges) -> dict[str, dict[str, dict[str, float]]]:
    """Entropy of what prompts leave open in the joint samples of each question."""
    return {
        question.title: {
            name: {
                attribute: normalised_entropy(values, LEGAL[attribute])
                for attribute, values in read(name, samples, judges).items()
                if not (question.digit_said and attribute == "digit")
            }
            for name, samples in together[question.title].items()
        }
        for question in QUESTIONS
    }


def measure_spread(made: Mapping[str, Any], real: Mapping[str, dict], judges: Judges) -> dict[str, float]:
    """Variety within a digit of what text made, over that of real renders."""
    spread = {}
    for name in judges.looks:
        looks = [judges.look(name, samples[name]) for samples in (made, real["real"])]
        spread[name] = spread_ratio(*(x for logits, features in looks for x in (features, logits.argmax(1))))
    return spread
