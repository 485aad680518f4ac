"""Strangers: do captions of voices, hands and words that are in no training data say the right thing?

A second table leaves out two of the six speakers of the data while C_audio trains, and asks for their recordings: the
honest figure for a new speaker. A judge of voices is trained in the same way.
"""

import copy
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor

from codi_minimal.codi import CoDi
from codi_minimal.data import DIGITS, WORDS, Source, draw, espeak, load, parse, render_audio
from codi_minimal.evaluation.generation import BatchedModel
from codi_minimal.evaluation.report import command, save, table
from codi_minimal.evaluation.statistics import Estimate, share
from codi_minimal.evaluation.train_judges import train_classifiers
from codi_minimal.experiments import imitations
from codi_minimal.experiments.base import Place, one_by_one, run_of, untrained
from codi_minimal.inputs import PromptWarning, check_whole
from codi_minimal.recipe import Recipe
from codi_minimal.training.prompts import train_bridge
from codi_minimal.training.run import Run

STAGE = "prompts-text-audio"
FOLDS = ((0, 1), (2, 3), (4, 5))  # the speakers that are left out
LEARNING = {  # title → the additions that are left out, and whether C_audio is also trained on voices of espeak-ng
    "the recordings alone": (("other_voices",), False),
    "changed recordings": ((), False),
    "and voices of espeak-ng": ((), True),
}
JUDGE = "the judge of voices"
Hears: TypeAlias = Callable[[Tensor], Tensor]  # recordings (n, 8192) → digits (n,)


def strangers(
    model: CoDi,
    data: Place,
    out: Path,
    steps: int = 700,
    samples: int = 300,
    seed: int = 0,
    progress: bool = True,
) -> dict[str, Any]:
    """What is brought becomes captions, and C_audio is trained with speakers left out. Both go on where they stopped.

    Args:
        steps: of C_audio, in each fold. samples: photographs.

    Returns:
        "brought": title → share of right captions. "speakers": title → share, in quiet and in a room.
    """
    check_whole("samples", samples, 1)
    source, autocast = load(data, split_seed=model.config.train.split_seed), model.recipe.autocast
    run = run_of(model, source, seed=seed, recipe=model.recipe.to_dict())
    kinds = {
        "voices": voices,
        "handwriting": handwriting,
        "type": partial(photographs, samples=samples),
        "phrases": phrases,
    }
    if not espeak.installed():
        del kinds["voices"]
    batched = BatchedModel(model, seed)
    prompted = {kind: run | {"samples": samples} for kind in kinds}
    found = one_by_one(out / "brought", prompted, lambda kind: kinds[kind](batched), samples, progress)
    ways: dict[str, Callable[[Run], Hears]] = {
        title: partial(encoder, without=without, synthetic=synthetic)
        for title, (without, synthetic) in LEARNING.items()
        if espeak.installed() or not synthetic
    }
    ways[JUDGE] = partial(judge, steps=steps)
    brief = copy.deepcopy(model)
    stages = {STAGE: replace(model.config.train.stages[STAGE], steps=steps)}
    brief.config = replace(model.config, train=replace(model.config.train, stages=stages))
    runs = {title: Run(brief, source, out / "runs" / title.replace(" ", "-"), seed, progress) for title in ways}
    left_out = {title: run | {"steps": steps} for title in ways}
    trained = one_by_one(
        out / "speakers", left_out, lambda title: speakers(runs[title], ways[title]), len(source.spoken), progress
    )
    made_by = command("experiment strangers", data="DATA", steps=steps, samples=samples, seed=seed, autocast=autocast)
    rows = {title: figure for figures in found.values() for title, figure in figures.items()}
    report = {"command": made_by, "source": source.name, "steps": steps, "brought": rows, "speakers": trained}
    return save(out, "strangers", report, markdown(report))


def said(model: BatchedModel, prompts: Mapping[str, Any], n: int) -> list[dict[str, str]]:
    """What each caption says that is generated from a prompt."""
    return [parse(text) or {} for text in model(prompts, ("text",), n)["text"]]


def right(captions: list[dict[str, str]], digits: Tensor) -> Tensor:
    """Which captions say the digit."""
    return torch.tensor([words.get("digit") == DIGITS[d] for words, d in zip(captions, digits.tolist(), strict=True)])


def voices(model: BatchedModel) -> dict[str, Estimate]:
    """Of all voices, and of the voice that is understood worst."""
    waves, digits, speakers = imitations.voices()
    found = {}
    wet = imitations.roomy(waves, torch.Generator().manual_seed(model.seed))
    for where, recordings in {"in quiet": waves, "in a room": wet}.items():
        hits = right(said(model, {"audio": recordings}, len(digits)), digits)
        worst = min((share(hits[speakers == voice]) for voice in speakers.unique()), key=lambda figure: figure.value)
        found[f"a voice {where}"] = share(hits, items=[speakers])
        # the smallest of several shares has no interval of this kind
        found[f"the worst of {len(imitations.STRANGE_VOICES)} voices {where}"] = replace(worst, interval=None)
    return found


def handwriting(model: BatchedModel) -> dict[str, Estimate]:
    """Of all handwriting."""
    images, digits = imitations.handwriting()
    return {"handwriting (load_digits)": share(right(said(model, {"image": images}, len(digits)), digits))}


def photographs(model: BatchedModel, samples: int) -> dict[str, Estimate]:
    """Of photographed type; all of it is black, which this world shows as white."""
    images, digits = imitations.photographs(samples, model.seed)
    captions = said(model, {"image": images}, samples)
    coloured = [words.get("colour", "white") != "white" for words in captions]
    return {
        "photographed type": share(right(captions, digits)),
        "photographed type, no wrong colour": share(~torch.tensor(coloured)),
    }


def phrases(model: BatchedModel) -> dict[str, Estimate]:
    """Of phrases: the caption contradicts none of their attributes, and says the digit. One without any is refused."""
    accepted, hits = [], []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PromptWarning)
        for phrase in imitations.phrases():
            if refused(model.model.recipe, phrase["text"]):
                hits.append(not any(phrase[name] for name in WORDS))
            else:
                accepted.append(phrase)
        captions = said(model, {"text": [phrase["text"] for phrase in accepted]}, len(accepted))
    for phrase, words in zip(accepted, captions, strict=True):
        meant = {name: phrase[name] for name in WORDS if phrase[name] is not None}
        agrees = all(words.get(name, word) == word for name, word in meant.items())
        hits.append(agrees and ("digit" in words or "digit" not in meant))
    return {"a phrase in everyday English": share(torch.tensor(hits))}


def refused(recipe: Recipe, text: str) -> bool:
    """Whether an addition of the recipe finds nothing in a text that could be a prompt."""
    try:
        for addition in recipe.additions:
            addition.rewrite("text", [text])
    except ValueError:
        return True
    return False


def speakers(run: Run, learn: Callable[[Run], Hears]) -> dict[str, Estimate]:
    """Two speakers are left out in each fold: of their recordings, those whose digit is heard by what was learned.

    `run`: its folder is for all folds. `learn` gets a run of each fold, without the two speakers.
    """
    hits: dict[str, list[Tensor]] = {"in quiet": [], "in a room": []}
    source, spoken_by = run.corpus.source, []
    for fold in FOLDS:
        left_out = torch.isin(source.speakers, torch.tensor(fold))
        folder = run.folder / "-".join(map(str, fold))
        hear = learn(replace(run, corpus=only(source, ~left_out), folder=folder))
        held, generator = only(source, left_out), torch.Generator().manual_seed(run.seed)
        scene = draw(held, len(held.spoken), generator, recordings=torch.arange(len(held.spoken)))
        spoken_by.append(held.speakers[scene.recording])
        quiet = render_audio(held, scene, generator)
        for where, waves in {"in quiet": quiet, "in a room": imitations.roomy(quiet, generator)}.items():
            hits[where].append(hear(waves) == scene.digit)
    return {where: share(torch.cat(folds), items=[torch.cat(spoken_by)]) for where, folds in hits.items()}


def encoder(run: Run, without: tuple[str, ...], synthetic: bool) -> Hears:
    """C_audio anew: a recording has the digit of the nearest caption."""
    model = with_new_encoder(run, without, synthetic)
    train_bridge(replace(run, model=model), "audio", voices=espeak.synthetic_voices)
    return partial(nearest_digit, model)


def judge(run: Run, steps: int) -> Hears:
    """A classifier anew, as those that judge what is generated."""
    judges = train_classifiers(run.corpus.source, run.folder, run.seed, steps, run.progress)
    return lambda waves: judges.look("audio", waves)[0].argmax(dim=1)


def with_new_encoder(run: Run, without: tuple[str, ...], synthetic: bool) -> CoDi:
    """A copy of the model with an untrained C_audio, which one stage is to train."""
    fresh = untrained(run.model, run.seed, synthetic_voices=synthetic)
    model = copy.deepcopy(run.model)
    model.config, model.recipe = fresh.config, run.model.recipe.without(*without)
    model.modalities["audio"].prompt = fresh.modalities["audio"].prompt.to(run.device)
    return model


def only(source: Source, kept: Tensor) -> Source:
    """The source with some of its recordings."""
    rows = ("recordings", "lengths", "spoken", "speakers")
    return replace(source, **{name: getattr(source, name)[kept] for name in rows})


@torch.no_grad()
def nearest_digit(model: CoDi, waves: Tensor) -> Tensor:
    """The digit (n,) of the caption, "zero" to "nine", that is nearest to C_audio of each recording (n, 8192)."""
    captions = model.modalities["text"].prompt(list(DIGITS))
    prompts = model.in_batches(model.modalities["audio"].prompt, waves)
    return (prompts @ captions.T).argmax(dim=1).cpu()


def markdown(report: Mapping[str, Any]) -> str:
    """Both tables."""
    first = table(("", "right"), report["brought"].items())
    rows = [(title, *figures.values()) for title, figures in report["speakers"].items()]
    second = table(("C_audio, trained on; or a judge", *next(iter(report["speakers"].values()))), rows)
    return f"""# Strangers

`{report["command"]}`. Data: {report["source"]}. With 95 % intervals. A prompt that no training has seen becomes a
caption; it is right if it says the digit of the prompt. A phrase is right if the caption contradicts nothing in it and
says its digit; one that asks for nothing of this world must be refused.

{first}

Each speaker of the data is left out once, with another, while C_audio trains for {report["steps"]} steps. The nearest
of the ten captions "zero" to "nine" to a recording of theirs is its digit in this share. A judge of voices that is
trained without them, for as many steps, reads the digit of the same recordings:

{second}
"""
