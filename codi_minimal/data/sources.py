"""Where handwriting and voices come from: a folder, the public hub, or a built-in sample."""

from __future__ import annotations

import hashlib
import io
import logging
import os
import re
import tempfile
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from . import sample
from .shares import split_shares

HUB = {"mnist": "ylecun/mnist", "fsdd": "mteb/free-spoken-digit-dataset"}
RATE, WINDOW, PEAK, LONGEST = 8000, 128, 0.8, 8192
VOICES = ("WAV", "WAVEX", "RF64", "FLAC", "OGG", "MP3")  # formats of recordings; libsndfile knows many more
MAX_SECONDS, MAX_ROWS = 60, 300_000  # a parquet file of kilobytes may have millions of rows
SPLITS = ("train", "validation", "test")
VALIDATION = 0.1  # of each digit's handwriting, and of each speaker's recordings of each digit
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """Handwriting and voices of one split.

    ``glyphs`` uint8 "n 28 28" with ``digits`` "n"; ``recordings`` float32 "m l", l <= 8192, trimmed, peak
    0.8, zero past ``lengths`` "m", with ``spoken`` digit and ``speakers`` "m". ``name`` is "folder", "hub" or
    "built-in sample"; ``split`` is one of SPLITS. ``split_seed`` alone fixes the validation share and the share
    of each pairing.
    """

    glyphs: Tensor
    digits: Tensor
    recordings: Tensor
    lengths: Tensor
    spoken: Tensor
    speakers: Tensor
    name: str
    split: str = "train"
    split_seed: int = 0

    @cached_property
    def identity(self) -> str:
        """The name, and eight hexadecimal digits: the fingerprint of the content and of ``split_seed``."""
        digest = hashlib.sha256(str(self.split_seed).encode())
        for values in (self.glyphs, self.digits, self.recordings, self.lengths, self.spoken, self.speakers):
            digest.update(values.contiguous().numpy().tobytes())
        return f"{self.name} {digest.hexdigest()[:8]}"


def load(data: str | Path | None = None, split: str = "train", split_seed: int = 0, hub: bool = True) -> Source:
    """Handwriting and voices: from the folder given, else the public hub, else the built-in sample.

    Public data sets have the splits -train and -test. A tenth of the public -train split is held out as "validation":
    no training sees it, and all settings are chosen on it. "train" is the rest. Results are reported on "test".

    Args:
        data: folder with mnist-{train,test}.parquet and fsdd-{train,test}.parquet; default: $CODI_DATA.
        split: "train", "validation" or "test".
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
    parts = {name: getattr(source, name)[glyphs] for name in ("glyphs", "digits")}
    parts |= {name: getattr(source, name)[recordings] for name in ("recordings", "lengths", "spoken", "speakers")}
    return replace(source, **parts)


def _load(data: str | Path | None, split: str, hub: bool) -> Source:
    """All of a public split, "train" or "test"."""
    folder = data or os.environ.get("CODI_DATA")
    if folder:
        return _from_folder(Path(folder), split)
    if hub and os.environ.get("HF_HUB_OFFLINE", "0").upper() not in ("1", "ON", "YES", "TRUE"):
        try:
            return _from_hub(split)
        except Exception as error:  # no network, a moved data set, a full disk: the sample works without any
            _log.warning("the hub's data cannot be had (%s); using the built-in sample", type(error).__name__)
    return _from_sample(split)


def trim(wave: np.ndarray) -> np.ndarray:
    """A recording from where its voice starts, peak 0.8, at most 8192 samples; see `voice_start`.

    Raises:
        ValueError: as `voice_start`.
    """
    voice = wave[voice_start(wave) :]
    return (PEAK * voice / np.abs(voice).max()).astype(np.float32)[:LONGEST]


def voice_start(wave: np.ndarray) -> int:
    """The sample at which a voice starts: the first of the first 128 whose RMS passes a tenth of the loudest 128's.

    Args:
        wave: "n", of which whole windows of 128 samples are compared.
    Raises:
        ValueError: if the recording is not one channel, has no whole window, is silent, or is not finite.
    """
    if wave.ndim != 1 or len(wave) < WINDOW:
        raise ValueError(f"expected a voice on one channel, {WINDOW} samples or more, got shape {wave.shape}")
    if not np.isfinite(wave).all():
        raise ValueError("expected a voice, got NaN or infinite samples")
    if not wave.any():
        raise ValueError("expected a voice, got silence")
    rms = loudness(wave)
    return WINDOW * int((rms > rms.max() / 10).argmax())


def loudness(wave: np.ndarray) -> np.ndarray:
    """The RMS of each whole window of 128 samples."""
    windows = wave[: len(wave) // WINDOW * WINDOW].reshape(-1, WINDOW)
    return np.sqrt((windows.astype(np.float64) ** 2).mean(1))


def _from_folder(folder: Path, split: str) -> Source:
    columns = {}
    for name, expected in (("mnist", "image, label"), ("fsdd", "audio, label, speaker")):
        path = folder / f"{name}-{split}.parquet"
        if not path.is_file():
            raise ValueError(f"expected {path.name} (parquet with {expected}) in the data folder {folder}, got none")
        try:
            columns[name] = _DECODERS[name](_read_parquet(path))
        except Exception as error:  # the library has many of its own, some of several lines
            came = re.sub(r"\W*<_io\.BytesIO[^>]*>", "", " ".join(str(error).split())) or type(error).__name__
            raise ValueError(f"expected {path.name} to be parquet with {expected}, got: {came}") from error
    return _source(*columns["mnist"], *columns["fsdd"], name="folder")


def _datasets() -> Any:
    """The library, without tqdm's warning, which a notebook would show that has no ipywidgets."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import datasets
    return datasets


def _from_hub(split: str) -> Source:
    load_dataset = _datasets().load_dataset
    from huggingface_hub import HfApi

    for repo in HUB.values():  # asked first, with a short timeout: a download would retry for minutes
        HfApi().dataset_info(repo, timeout=5)
    rows = {name: load_dataset(repo, split=split) for name, repo in HUB.items()}
    return _source(*_glyph_columns(rows["mnist"]), *_voice_columns(rows["fsdd"]), name="hub")


def _from_sample(split: str) -> Source:
    waves, spoken, speakers = sample.voices(split)
    voices = [trim(wave) for wave in waves]
    return _source(*sample.handwriting(split), voices, spoken, speakers, name="built-in sample")


def _read_parquet(path: Path) -> Any:
    Dataset = _datasets().Dataset
    from datasets.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
    from pyarrow.parquet import read_metadata

    if (rows := read_metadata(path).num_rows) > MAX_ROWS:
        raise ValueError(f"{rows:,} rows, more than {MAX_ROWS:,}")
    quiet = are_progress_bars_disabled()
    disable_progress_bars()
    try:
        with tempfile.TemporaryDirectory() as cache:
            return Dataset.from_parquet(str(path), cache_dir=cache, keep_in_memory=True)
    finally:
        if not quiet:
            enable_progress_bars()


def _glyph_columns(rows: Any) -> tuple[np.ndarray, list[int]]:
    from datasets import Image

    rows = rows.cast_column("image", Image(decode=False))
    return np.stack([_glyph(_content(cell)) for cell in rows["image"]]), _labels(rows["label"])


def _voice_columns(rows: Any) -> tuple[list[np.ndarray], list[int], list[str]]:
    from datasets import Audio

    rows = rows.cast_column("audio", Audio(decode=False))
    voices, labels = [_voice(_content(cell)) for cell in rows["audio"]], _labels(rows["label"])
    if "speaker" in rows.column_names:
        return voices, labels, _speakers(rows["speaker"])
    # FSDD names its files digit_speaker_take.wav; copies without the column keep the name
    names = [Path(cell["path"] or "").stem.split("_") for cell in rows["audio"]]
    return voices, labels, [parts[1] if len(parts) == 3 else "unknown" for parts in names]


def _content(cell: Any) -> bytes:
    if not cell or not cell["bytes"]:
        raise ValueError("a row without bytes")
    return cell["bytes"]


def _glyph(content: bytes) -> np.ndarray:
    from PIL import Image

    with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
        if (*image.size, image.mode) != (28, 28, "L"):
            raise ValueError(f"an image of {image.width}x{image.height} in mode {image.mode}, not 28x28 grey (L)")
        return np.asarray(image)


def _voice(content: bytes) -> np.ndarray:
    import soundfile

    with soundfile.SoundFile(io.BytesIO(content)) as sound:
        if sound.format not in VOICES or sound.samplerate != RATE:
            raise ValueError(f"a recording in {sound.format} at {sound.samplerate} Hz, not {RATE} in {VOICES}")
        if sound.channels > 1 or sound.frames > MAX_SECONDS * RATE:
            came = f"{sound.channels} channels, {sound.frames:,} samples"
            raise ValueError(f"a recording of {came}, not 1 channel of at most {MAX_SECONDS} s")
        return trim(sound.read(dtype="float32"))


def _labels(values: Iterable[Any]) -> list[int]:
    values = list(values)
    for row, value in enumerate(values):
        if type(value) is not int or not 0 <= value <= 9:
            raise ValueError(f"row {row}: expected a whole number as label, 0 … 9, got {value!r}")
    return values


def _speakers(values: Iterable[Any]) -> list[str]:
    values = list(values)
    for row, value in enumerate(values):
        if not isinstance(value, str):
            raise ValueError(f"row {row}: expected a string as speaker, got {value!r}")
    return values


_DECODERS = {"mnist": _glyph_columns, "fsdd": _voice_columns}


def _source(
    glyphs: np.ndarray, digits: list[int], voices: list[np.ndarray], spoken: list[int], speakers: list[str], name: str
) -> Source:
    number = {speaker: i for i, speaker in enumerate(sorted(set(speakers)))}
    recordings = [torch.from_numpy(voice) for voice in voices]
    return Source(
        glyphs=torch.from_numpy(glyphs),
        digits=torch.tensor(digits),
        recordings=pad_sequence(recordings, batch_first=True),
        lengths=torch.tensor([len(voice) for voice in voices]),
        spoken=torch.tensor(spoken),
        speakers=torch.tensor([number[speaker] for speaker in speakers]),
        name=name,
    )
