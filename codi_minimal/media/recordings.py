"""Reads recordings."""

import io
import math
from collections.abc import Callable
from pathlib import Path

import soundfile
import torch
import torch.nn.functional as F
from torch import Tensor

from codi_minimal.data.rows import MAX_SECONDS, VOICES
from codi_minimal.data.scenes import SAMPLES
from codi_minimal.data.voices import RATE
from codi_minimal.fitting import fit_audio
from codi_minimal.inputs import check_number

from . import containers
from .clips import MAX_START
from .containers import MAX_CHANNELS, MAX_SAMPLES
from .files import read

SECOND = SAMPLES / RATE  # 1.024 s, as long as a recording of the world
RECORDING_ENDINGS = (".wav", ".flac", ".ogg", ".mp3", *containers.CONTAINER_FORMATS)
MAGIC = (b"RIFF", b"RIFX", b"RF64", b"fLaC", b"OggS", b"ID3", b"\xff")  # how files of these formats begin


def read_audio(
    path: str | Path, start: float | None = None, fit: Callable[[Tensor, int], Tensor] = fit_audio
) -> Tensor:
    """A recording of any rate, or the sound of a clip, as audio; see `fit_audio`, or another `fit`.

    A recording lasts at most 60 s, in at most 8 channels of 24 million samples together. Its channels are averaged;
    where they cancel, the loudest is taken.

    `start`, in seconds: only the 1.024 s from there are read, and the voice in them keeps its start time.
    """
    if start is not None:
        check_number("start", start, 0, MAX_START)
    ending = Path(path).suffix.lower()

    def decode(data: bytes) -> tuple[Tensor, int]:
        if ending in containers.CONTAINER_FORMATS:
            wave, rate = containers.sound(data, ending, start, MAX_SECONDS if start is None else SECOND)
        else:
            wave, rate = _decode(data, start)
        if not len(wave):
            raise ValueError("it holds no sound" + (f" after {start:g} s" if start else ""))
        return _mono(wave), rate

    def padded(wave: Tensor, rate: int) -> Tensor:
        if start is not None:
            n = math.ceil(SECOND * rate)
            wave = F.pad(wave, (0, n - len(wave)))
        return fit(wave, rate)

    return read(path, "a recording", RECORDING_ENDINGS, decode, lambda decoded: padded(*decoded))


def _decode(data: bytes, start: float | None, closed: bool = False) -> tuple[Tensor, int]:
    """The samples "n c" of a recording, or of its second from `start` on, and its rate."""
    if not data.startswith(MAGIC):
        raise ValueError("Format not recognised.")
    with soundfile.SoundFile(io.BytesIO(data)) as sound:
        if sound.format not in VOICES:
            raise ValueError(f"{sound.format} is none of {', '.join(VOICES)}")
        if sound.channels > MAX_CHANNELS:
            raise ValueError(f"{sound.channels} channels are more than {MAX_CHANNELS}")
        # what is not seekable is read to its end; the header of a file that was written to a pipe lacks the count
        sound.seekable = lambda: False
        most = min(MAX_SECONDS * sound.samplerate, MAX_SAMPLES // sound.channels)
        before = round((start or 0) * sound.samplerate)
        while before > 0 and (skipped := len(sound.read(min(before, sound.samplerate)))):
            before -= skipped
        count = most + 1 if start is None else math.ceil(SECOND * sound.samplerate)
        wave = torch.from_numpy(sound.read(count, dtype="float32", always_2d=True))
        if not len(wave) and not closed:
            return _decode(_closed(data), start, closed=True)
        if len(wave) > most:
            raise ValueError(f"it holds more than {MAX_SECONDS} s or {MAX_SAMPLES:,} samples")
        return wave, sound.samplerate


def _closed(data: bytes) -> bytes:
    """A WAV file with the largest size in its header, where a killed recorder left the size 0 before its samples."""
    at, order = data.find(b"data" + bytes(4)) + 8, "little" if data.startswith(b"RIFF") else "big"
    name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], order)
    # what follows is samples, unless it is a chunk: a name of four characters, and a size that fits into the file
    is_chunk = name.isascii() and name.decode().isprintable() and at + 8 + size <= len(data)
    return data if at < 8 or is_chunk else data[: at - 4] + b"\xff" * 4 + data[at:]


def _mono(wave: Tensor) -> Tensor:
    """The mean of the channels of "n c", or the loudest where they cancel, as with one crossed microphone."""
    mean, loudness = wave.mean(1), wave.std(0, correction=0)
    cancelled = mean.std(correction=0) < loudness.max() / (2 * wave.shape[1])
    return wave[:, loudness.argmax()] if cancelled else mean
