"""All stages in their order. `train` and `train_further` go through them."""

import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import TypeAlias

import torch

from codi_minimal.checkpoint import atomic_write, fingerprint, name_in_error
from codi_minimal.codi import CoDi
from codi_minimal.config import MODALITIES, Config, Stage, preset
from codi_minimal.data import Corpus, TalkingDigits, load
from codi_minimal.data.espeak import synthetic_voices
from codi_minimal.data.own_pairs import words_of
from codi_minimal.device import best_device
from codi_minimal.inputs import PromptWarning, check_whole
from codi_minimal.lock import remove_leftovers
from codi_minimal.recipe import find_recipe
from codi_minimal.training.autoencoders import draw_stills, train_autoencoder, train_vocoder
from codi_minimal.training.beside import train_beside
from codi_minimal.training.card import model_card
from codi_minimal.training.denoisers import train_denoiser
from codi_minimal.training.joint import train_environment, train_joint
from codi_minimal.training.prompts import train_bridge
from codi_minimal.training.ranks import alone_with_all_ranks, joined, rank
from codi_minimal.training.run import Run
from codi_minimal.training.sheets import environment, reconstructions, samples, similarities
from codi_minimal.training.streams import TURNS

MOST_NAMED = 12  # unknown words in a warning
ALL_PAIRINGS = tuple(combinations(MODALITIES, 2))


@dataclass(frozen=True)
class StageFunctions:
    """How a stage is trained, and how the picture of its result is made.

    `pairings`: those whose pairs can train it; one of them is enough.
    """

    train: Callable[[Run], None]
    show: Callable[[Run, str], None]
    pairings: tuple[tuple[str, str], ...] = ALL_PAIRINGS


def _of(*names: str) -> tuple[tuple[str, str], ...]:
    """The pairings that have these modalities."""
    return tuple(pairing for pairing in ALL_PAIRINGS if set(names) <= set(pairing))


def _stage(train: Callable[..., None], show: Callable[..., None], name: str, beside: str = "", **how) -> StageFunctions:
    pairings = _of(name, beside) if beside else _of(name)
    return StageFunctions(partial(train, name=name, **how), partial(show, name=name), pairings)


STAGES: dict[str, StageFunctions] = {
    "autoencoder-image": _stage(train_autoencoder, reconstructions, "image", draw_batch=draw_stills),
    "autoencoder-audio": _stage(train_autoencoder, reconstructions, "audio"),
    "autoencoder-text": _stage(train_autoencoder, reconstructions, "text"),
    "vocoder": StageFunctions(train_vocoder, partial(reconstructions, name="audio"), _of("audio")),
    "prompts-text-image": _stage(train_bridge, similarities, "image", "text"),
    "prompts-text-audio": _stage(train_bridge, similarities, "audio", "text", voices=synthetic_voices),
    "prompts-text-video": _stage(train_bridge, similarities, "video", "text", start_from="image"),
    "denoiser-image": _stage(train_denoiser, samples, "image", "text"),
    "denoiser-audio": _stage(train_denoiser, samples, "audio", "text"),
    "denoiser-text": _stage(train_denoiser, samples, "text"),
    "denoiser-video": _stage(train_denoiser, samples, "video", "text", start_from="image"),
    "environment": StageFunctions(train_environment, partial(similarities, name=None, embed=environment)),
    "joint": StageFunctions(train_joint, samples),
    **{f"beside-{m}": StageFunctions(partial(train_beside, name=m), samples, TURNS[f"beside-{m}"]) for m in MODALITIES},
}


def _check(stages: Collection[str], known: Collection[str]) -> None:
    if not stages or not set(stages) <= set(known):
        came = sorted(set(stages) - set(known)) or "none"
        raise ValueError(f"expected stages out of {', '.join(known)}, got {came}")


def _with(config: Config, stages: dict[str, Stage]) -> Config:
    return replace(config, train=replace(config.train, stages=stages))


def in_order(config: str | Config) -> Config:
    """A preset or a config, its stages in the order in which they are trained; ValueError if one is unknown."""
    config = preset(config) if isinstance(config, str) else config
    _check(config.train.stages, STAGES)
    return _with(config, {name: config.train.stages[name] for name in STAGES if name in config.train.stages})


Data: TypeAlias = str | Path | Corpus | None


def corpus_of(data: Data, split_seed: int) -> Corpus:
    """Talking Digits from where `data.load` finds it, or a corpus as it is."""
    is_place = data is None or isinstance(data, (str, Path))
    return TalkingDigits(load(data, split_seed=split_seed)) if is_place else data


def fitted_to(config: Config, corpus: Corpus) -> Config:
    """The config without the modalities and stages that a corpus has no pairs for, and with room for its captions.

    ValueError: a modality has no pairs with text, through which all prompt encoders are aligned.
    """
    there = {name for pairing in corpus.pairings for name in pairing}
    if alone := [m for m in config.model.modalities if m in there - {"text"} and ("text", m) not in corpus.pairings]:
        raise ValueError(f"expected some {alone[-1]} with text, to which all prompts are aligned, got it without")
    modalities = tuple(m for m in config.model.modalities if m in there)
    words = max(config.model.max_words, corpus.longest)
    model = replace(config.model, modalities=modalities, fit=corpus.fit, max_words=words)
    return _with(replace(config, model=model), _with_data(config.train.stages, corpus))


def _with_data(stages: Mapping[str, Stage], corpus: Corpus) -> dict[str, Stage]:
    """The stages that a corpus has pairs for."""
    return {name: stage for name, stage in stages.items() if set(STAGES[name].pairings) & set(corpus.pairings)}


def new_run(config: Config, data: Data, out: str | Path, device: str | None, seed: int, progress: bool) -> Run:
    """A run from nothing: the seed draws the initial weights. All later draws have generators of their own."""
    corpus = corpus_of(data, config.train.split_seed)
    config, shipped = fitted_to(config, corpus), find_recipe("shipped")
    recipe = shipped if isinstance(corpus, TalkingDigits) else shipped.for_any_data()
    torch.manual_seed(seed)
    model = CoDi(config, corpus.vocabulary, recipe).to(best_device(device), memory_format=torch.channels_last)
    return Run(model, corpus, Path(out), seed, progress)


def train(
    config: str | Config = "small",
    data: Data = None,
    out: str | Path = "runs/small",
    device: str | None = None,
    stages: Sequence[str] | None = None,
    seed: int = 0,
    progress: bool = True,
) -> CoDi:
    """Trains CoDi from nothing, stage after stage. What is done is loaded, and what was interrupted goes on.

    Args:
        config: a preset's name or a config. data: see `data.load`; or a corpus, of which the config's modalities and
            stages are trained that it has pairs for.
        out: folder of this run; the model is saved to its folder `model` when all stages are done.
        stages: stop after these; each needs those before it, which are then loaded (or trained). None: all.

    Raises:
        ValueError: no stage, or one that the config or this module does not have; a seed outside [0, 2**63); files of
            a run from another config, other data or another seed in `out`, or such a run at work in it.
    """
    seed, config = check_whole("seed", seed, 0), in_order(config)
    if stages is not None:
        _check(stages, config.train.stages)
    with joined(device) as here:
        run = new_run(config, data, out, str(here), seed, progress)
        names = list(run.config.train.stages)
        _check(names if stages is None else stages, names)
        last = max(names.index(name) for name in stages or names)
        return _go_through(run, names[: last + 1], run.config if last == len(names) - 1 else None)


def train_further(
    stages: Sequence[str] | None,
    checkpoint: str | Path | None = None,
    data: Data = None,
    out: str | Path = "runs/further",
    device: str | None = None,
    steps: int | None = None,
    seed: int = 1,
    progress: bool = True,
) -> CoDi:
    """Trains some stages of a finished checkpoint on, and nothing else. Resumes, and saves the model, as `train` does.

    Autoencoders and C_text stay as they are, because all later stages have learned to read their outputs. What a stage
    changes is new to the stages after it: after "environment" name "joint", too.

    Args:
        stages: which; they are gone through in their order. None: all that the data has pairs for.
        checkpoint: folder or hub id; None: the one that ships. data: see `data.load`, or a corpus whose captions have
            the checkpoint's words. out: folder of this run.
        steps: of each; None: as many as the checkpoint had. seed: of the samples; 0 draws those it has seen.

    Raises:
        ValueError: no stage, or one that the checkpoint never had or that cannot go on; steps below 1, a seed outside
            [0, 2**63); files of another run in `out`, or one at work in it.
    """
    seed, steps = check_whole("seed", seed, 0), steps if steps is None else check_whole("steps", steps, 1)
    model = CoDi.from_pretrained(checkpoint, "cpu")
    trained = in_order(model.config)
    had, able = trained.train.stages, [name for name in trained.train.stages if not name.startswith("autoencoder-")]
    if stages is not None:
        _check(stages, able)
    corpus = corpus_of(data, trained.train.split_seed)
    able = list(_with_data({name: had[name] for name in able}, corpus))
    stages = able if stages is None else stages
    _check(stages, able)
    more = {name: replace(had[name], steps=steps or had[name].steps) for name in able if name in stages}
    both = had | {name: replace(stage, steps=had[name].steps + stage.steps) for name, stage in more.items()}
    check_words(corpus, model.vocabulary)
    model.config, further = _with(trained, more), "" if checkpoint is None else str(checkpoint)
    with joined(device) as here, warnings.catch_warnings():
        start = fingerprint(model)
        run = Run(model.to(here), corpus, Path(out), seed, progress, further=further, start=start)
        warnings.simplefilter("ignore", PromptWarning)  # which would come for every batch
        return _go_through(run, list(more), _with(trained, both))


def check_words(corpus: Corpus, known: Collection[str]) -> None:
    """A `PromptWarning` that names words of a corpus that a checkpoint lacks; ValueError: a caption has no other."""
    unknown = sorted(set(corpus.vocabulary) - set(known))
    if not unknown:
        return
    for text in corpus.all_captions():
        if not set(words_of(text)) & set(known):
            raise ValueError(f"expected captions with words that the checkpoint knows, got {text!r}")
    some = ", ".join(map(repr, unknown[:MOST_NAMED])) + (
        f" and {n} more" if (n := len(unknown) - MOST_NAMED) > 0 else ""
    )
    warnings.warn(PromptWarning(f"text: the checkpoint does not know {some}"), stacklevel=3)


def _go_through(run: Run, names: Sequence[str], whole: Config | None) -> CoDi:
    """Trains stages, draws their pictures; saves the model if `whole`, the config of all its training, is given."""
    for name in names:
        run.batch(name)  # with more ranks than samples it is an error now, and not hours later
    with alone_with_all_ranks(run.folder):
        for name in names:
            STAGES[name].train(run)
            if rank() == 0 and not (picture := run.folder / f"{name}.png").exists():
                with name_in_error(picture):
                    STAGES[name].show(run, name)
        if rank() == 0 and whole is not None:
            folder = run.folder / "model"
            folder.mkdir(exist_ok=True)
            remove_leftovers(folder)
            atomic_write(folder / "MODEL_CARD.md", model_card(run).encode())  # it is about this run alone
            run.model.config = whole
            run.model.save_pretrained(folder, dtype="float16")
    return run.model
