"""Where handwriting and voices come from: a folder, the public hub, or a built-in sample."""

import hashlib
import logging
import os
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from . import builtin
from .rows import decode_handwriting, decode_voices, read_parquet
from .voices import trim

HUB = {"mnist": "ylecun/mnist", "fsdd": "mteb/free-spoken-digit-dataset"}
SPLITS = ("train", "validation", "test")
VALIDATION = 0.1  # of each digit's handwriting, and of each speaker's recordings of each digit
_log = logging.getLogger(__name__)
_DECODERS = {"mnist": (decode_handwriting, "image, label"), "fsdd": (decode_voices, "audio, label, speaker")}
_OF_GLYPHS, _OF_RECORDINGS = ("glyphs", "digits"), ("recordings", "lengths", "spoken", "speakers")


@dataclass(frozen=True)
class Source:
    """Handwriting and voices of one split."""

    glyphs: Tensor  # uint8 "n 28 28"
    digits: Tensor  # "n"
    recordings: Tensor  # float32 "m l", l <= 8192: trimmed, peak 0.8, zero past their lengths
    lengths: Tensor  # "m"
    spoken: Tensor  # "m": the digit of each recording
    speakers: Tensor  # "m": numbers
    name: str  # "folder", "hub" or "built-in sample"
    split: str = "train"  # one of SPLITS
    split_seed: int = 0  # fixes the validation share and the share of each pairing

    @cached_property
    def identity(self) -> str:
        """The name, and eight hexadecimal digits: the fingerprint of the content and of ``split_seed``."""
        digest = hashlib.sha256(str(self.split_seed).encode())
        for name in _OF_GLYPHS + _OF_RECORDINGS:
            digest.update(getattr(self, name).contiguous().numpy().tobytes())
        return f"{self.name} {digest.hexdigest()[:8]}"

    def to(self, device: torch.device | str) -> "Source":
        """The same with glyphs and recordings on a device, where scenes are then rendered. Labels stay on the CPU."""
        return replace(self, glyphs=self.glyphs.to(device), recordings=self.recordings.to(device))


def load(data: str | Path | None = None, split: str = "train", split_seed: int = 0, hub: bool = True) -> Source:
    """Handwriting and voices: from the folder given, else the public hub, else the built-in sample.

    Args:
        data: folder with mnist-{train,test}.parquet and fsdd-{train,test}.parquet; default: $CODI_DATA.
        split: "test" is the public one. "validation" is a tenth of the public -train split, which no training sees and
            on which all settings are chosen; "train" is the rest.
        split_seed: fixes which samples are validation, and the share of each pairing; see `TrainConfig`.
        hub: try the hub when no folder is given (never with HF_HUB_OFFLINE set).

    Raises:
        ValueError: on an unknown split, or a missing or unreadable file in the folder given.
    """
    if split not in SPLITS:
        raise ValueError(f"expected a split of {SPLITS}, got {split!r}")
    source = replace(_load(data, "test" if split == "test" else "train", hub), split=split, split_seed=split_seed)
    if split == "test":
        return source
    fractions = {"validation": VALIDATION, "train": 1 - VALIDATION}
    glyphs = split_shares(source.digits, fractions, split_seed)[split]
    recordings = split_shares(10 * source.speakers + source.spoken, fractions, split_seed)[split]
    rows = dict.fromkeys(_OF_GLYPHS, glyphs) | dict.fromkeys(_OF_RECORDINGS, recordings)
    return replace(source, **{name: getattr(source, name)[idx] for name, idx in rows.items()})


def split_shares(labels: Tensor, fractions: Mapping[Any, float], seed: int) -> dict[Any, Tensor]:
    """Splits the indices of `labels` into disjoint shares. Every label is split in the same proportions.

    Args:
        labels: integers (n,). fractions: the fraction of each share, by its key; they sum to 1.

    Returns:
        For each key the sorted indices of its share; together they are 0 … n - 1. Of a label that occurs at least
        twice, the first and the last share get one index or more. A label that occurs once falls into the last share.

    >>> split_shares(torch.tensor([0, 0, 0, 0, 1, 1]), {"a": 0.5, "b": 0.5}, seed=0)
    {'a': tensor([0, 1, 4]), 'b': tensor([2, 3, 5])}
    """
    generator = torch.Generator().manual_seed(seed)
    bounds = torch.tensor(list(fractions.values()), dtype=torch.float64).cumsum(0)[:-1]
    parts = []
    for label in labels.unique():
        of_label = (labels == label).nonzero()[:, 0]
        of_label = of_label[torch.randperm(len(of_label), generator=generator)]
        cuts = (bounds * len(of_label)).round().clamp(1, len(of_label) - 1)
        parts.append(of_label.tensor_split(cuts.long()))
    return {key: torch.cat(share).sort().values for key, share in zip(fractions, zip(*parts, strict=True), strict=True)}


def _load(data: str | Path | None, split: str, hub: bool) -> Source:
    """All of a public split, "train" or "test"."""
    if folder := data or os.environ.get("CODI_DATA"):
        return _from_folder(Path(folder), split)
    if hub and os.environ.get("HF_HUB_OFFLINE", "0").upper() not in ("1", "ON", "YES", "TRUE"):
        try:
            return _from_hub(split)
        except Exception as error:  # no network, a moved data set, a full disk: the sample needs none of them
            _log.warning("the hub's data could not be read (%s); using the built-in sample", type(error).__name__)
    return _from_sample(split)


def _from_folder(folder: Path, split: str) -> Source:
    columns = []
    for name, (decode, expected) in _DECODERS.items():
        path = folder / f"{name}-{split}.parquet"
        if not path.is_file():
            raise ValueError(f"expected {path.name} (parquet with {expected}) in the data folder {folder}, got none")
        try:
            columns += decode(read_parquet(path))
        except Exception as error:  # libraries raise many kinds, and some messages have several lines
            came = re.sub(r"\W*<_io\.BytesIO[^>]*>", "", " ".join(str(error).split())) or type(error).__name__
            raise ValueError(f"expected {path.name} to be parquet with {expected}, got: {came}") from error
    return _source("folder", *columns)


def _from_hub(split: str) -> Source:
    with warnings.catch_warnings():  # tqdm warns in a notebook without ipywidgets
        warnings.simplefilter("ignore")
        from datasets import load_dataset
    from huggingface_hub import HfApi

    for repo in HUB.values():  # a short request first: without a network a download would retry for minutes
        HfApi().dataset_info(repo, timeout=5)
    tables = {name: load_dataset(repo, split=split).with_format("arrow")[:] for name, repo in HUB.items()}
    return _source("hub", *decode_handwriting(tables["mnist"]), *decode_voices(tables["fsdd"]))


def _from_sample(split: str) -> Source:
    waves, spoken, speakers = builtin.voices(split)
    return _source("built-in sample", *builtin.handwriting(split), [trim(wave) for wave in waves], spoken, speakers)


def _source(
    name: str, glyphs: np.ndarray, digits: list[int], voices: list[np.ndarray], spoken: list[int], speakers: list[str]
) -> Source:
    recordings = pad_sequence([torch.from_numpy(voice) for voice in voices], batch_first=True)
    lengths = torch.tensor([len(voice) for voice in voices])
    numbers = torch.from_numpy(np.unique(speakers, return_inverse=True)[1])
    return Source(
        torch.from_numpy(glyphs), torch.tensor(digits), recordings, lengths, torch.tensor(spoken), numbers, name
    )
