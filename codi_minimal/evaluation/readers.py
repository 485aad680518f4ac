"""Readers: what an output of each modality says, as numbers. A judge of the world, not of the model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from einops import rearrange
from torch import Tensor

from codi_minimal.data import ATTRIBUTES_OF, ONSETS, WORDS, parse
from codi_minimal.evaluation.classifiers import WEIGHTS, Judges
from codi_minimal.evaluation.rules import (
    DIM,
    QUIET,
    read_audio_onset,
    read_colour,
    read_motion,
    read_video_onset,
)

VALUES = WORDS | {"onset": ONSETS}
LEGAL = {name: tuple(range(len(words))) for name, words in WORDS.items()} | {"onset": ONSETS}  # of what can be read
CHANCE = {name: 1 / len(values) for name, values in VALUES.items()}
Reading = dict[
    str, Tensor
]  # attribute → (b,) index into VALUES, but the onset is the frame itself; -1: says none


@dataclass(frozen=True)
class Reader:
    """How one modality is read; `formed` (which make sense at all) for one that need not say all it can."""

    read: Callable[..., Reading]
    formed: Callable[..., Tensor] | None = None


SHIPPED = Path(__file__).parents[1] / "weights" / "judges"


@cache
def shipped_judges() -> Judges:
    """The classifiers whose weights come with the package."""
    return Judges.load(str(SHIPPED / WEIGHTS))


def read(name: str, data: Tensor | Sequence[str], judges: Judges | None = None) -> Reading:
    """The attributes that a batch of one modality shows.

    Args:
        name: text, image, audio or video.
        data: b captions, or the modality's tensor; what is not finite reads as nothing.
        judges: the classifiers; by default the shipped ones.

    Returns:
        For each attribute that the modality carries a LongTensor (b,), -1 where it is not said or unreadable.

    Raises:
        ValueError: on an unknown modality.
    """
    if name not in READERS:
        raise ValueError(f"expected a modality of {tuple(READERS)}, got {name!r}")
    return READERS[name].read(data, judges or shipped_judges())


def well_formed(captions: Sequence[str]) -> Tensor:
    """Which captions the grammar can produce, (b,) bool."""
    return torch.tensor([parse(caption) is not None for caption in captions])


def _read_text(captions: Sequence[str], judges: Judges) -> Reading:
    said = [parse(caption) or {} for caption in captions]
    return {
        name: torch.tensor([VALUES[name].index(words[name]) if name in words else -1 for words in said])
        for name in ATTRIBUTES_OF["text"]
    }


def _tensor_reader(
    name: str, rules: dict[str, Callable[[Tensor], Tensor]], least: float
) -> Callable[..., Reading]:
    """A reader of tensors: digit by classifier, the rest by rules, nothing if no value reaches `least`."""

    def reader(data: Tensor, judges: Judges) -> Reading:
        data = data.detach().cpu().float()
        flat = data.flatten(1)
        legible = flat.isfinite().all(1) & (flat.nan_to_num(0).abs().amax(1) >= least)
        data = data.nan_to_num(0, 0, 0)
        values = {"digit": judges.look(name, data)[0].argmax(1)} | {
            key: rule(data) for key, rule in rules.items()
        }
        return {key: torch.where(legible, value, -1) for key, value in values.items()}

    return reader


def _side_by_side(video: Tensor) -> Tensor:
    return rearrange(video, "b f c h w -> b c (f h) w")  # one tall picture, one colour


READERS = {
    "text": Reader(_read_text, formed=well_formed),
    "image": Reader(_tensor_reader("image", {"colour": read_colour}, DIM)),
    "audio": Reader(_tensor_reader("audio", {"onset": read_audio_onset}, QUIET)),
    "video": Reader(
        _tensor_reader(
            "video",
            {
                "colour": lambda x: read_colour(_side_by_side(x)),
                "motion": read_motion,
                "onset": read_video_onset,
            },
            DIM,
        )
    ),
}
