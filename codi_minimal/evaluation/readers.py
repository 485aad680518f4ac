"""Readers: the attributes that a sample of each modality shows, as numbers. They judge the world, not the model."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import torch
from einops import rearrange
from torch import Tensor

from codi_minimal.data import ATTRIBUTES_OF, ONSETS, WORDS, Scene, parse
from codi_minimal.evaluation.classifiers import JUDGES_FILE, Judges
from codi_minimal.evaluation.rules import DIM, QUIET, read_audio_onset, read_colour, read_motion, read_video_onset

VALUES = WORDS | {"onset": ONSETS}
LEGAL = {name: tuple(range(len(words))) for name, words in WORDS.items()} | {"onset": ONSETS}  # of what can be read
CHANCE = {name: 1 / len(values) for name, values in VALUES.items()}
JUDGES_FOLDER = Path(__file__).parents[1] / "weights" / "judges"
# attribute → (b,): the index into VALUES, or the frame of the onset; -1 where the sample shows none
Shown = dict[str, Tensor]


@dataclass(frozen=True)
class Reader:
    """How one modality is read.

    read: the samples → a Shown.
    formed: which samples make sense at all; for a modality that need not show all its attributes.
    item: the field of `Scene` with the item that a render shows: renders of one item are not independent.
    """

    read: Callable[..., Shown]
    formed: Callable[..., Tensor] | None = None
    item: str | None = None


@cache
def shipped_judges() -> Judges:
    """The classifiers whose weights come with the package."""
    return Judges.load(JUDGES_FOLDER / JUDGES_FILE)


def read(name: str, data: Tensor | Sequence[str]) -> Shown:
    """The attributes that a batch of one modality shows, by rules and by the shipped classifiers.

    Args:
        name: text, image, audio or video; anything else is a ValueError.
        data: b captions, or the modality's tensor; a sample that is not finite shows nothing.

    Returns:
        For each attribute that the modality carries a LongTensor (b,), -1 where it is missing or unreadable.
    """
    if name not in READERS:
        raise ValueError(f"expected a modality of {tuple(READERS)}, got {name!r}")
    return READERS[name].read(data)


def items_of(names: Iterable[str], scene: Scene | None) -> list[Tensor]:
    """The glyphs and recordings, (n,) each, that renders of a scene in the modalities `names` show; without one none.

    They are what `statistics` takes.
    """
    kinds = dict.fromkeys(READERS[name].item for name in names)
    return [getattr(scene, kind) for kind in kinds if kind and scene is not None]


def well_formed(captions: Sequence[str]) -> Tensor:
    """Which captions the grammar can produce, (b,) bool."""
    return torch.tensor([parse(caption) is not None for caption in captions])


def _read_text(captions: Sequence[str]) -> Shown:
    said = [parse(caption) or {} for caption in captions]
    return {
        name: torch.tensor([VALUES[name].index(words[name]) if name in words else -1 for words in said])
        for name in ATTRIBUTES_OF["text"]
    }


def _read_tensor(name: str, rules: Mapping[str, Callable], least: float, data: Tensor) -> Shown:
    """The digit by a classifier, the rest by rules; nothing where no value reaches `least`."""
    data = data.detach().cpu().float()
    flat = data.flatten(1)
    legible = flat.isfinite().all(1) & (flat.nan_to_num(0).abs().amax(1) >= least)
    data = data.nan_to_num(0, 0, 0)
    logits, _ = shipped_judges().look(name, data)
    values = {"digit": logits.argmax(1)} | {attribute: rule(data) for attribute, rule in rules.items()}
    return {attribute: torch.where(legible, value, -1) for attribute, value in values.items()}


def _video_colour(video: Tensor) -> Tensor:
    return read_colour(rearrange(video, "b f c h w -> b c (f h) w"))  # one tall picture


_VIDEO = {"colour": _video_colour, "motion": read_motion, "onset": read_video_onset}
READERS = {
    "text": Reader(_read_text, formed=well_formed),
    "image": Reader(partial(_read_tensor, "image", {"colour": read_colour}, DIM), item="glyph"),
    "audio": Reader(partial(_read_tensor, "audio", {"onset": read_audio_onset}, QUIET), item="recording"),
    "video": Reader(partial(_read_tensor, "video", _VIDEO, DIM), item="glyph"),
}
