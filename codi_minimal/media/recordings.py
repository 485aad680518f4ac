"""Reads recordings."""

import io
import struct
from pathlib import Path

import soundfile
import torch
from torch import Tensor

from codi_minimal.data.rows import MAX_SECONDS, VOICES
from codi_minimal.fitting import fit_audio

from .files import read

ENDINGS = (".wav", ".flac", ".ogg", ".mp3")
MAGIC = (b"RIFF", b"RIFX", b"RF64", b"fLaC", b"OggS", b"ID3", b"\xff")  # how files of these formats begin
MAX_CHANNELS, MAX_SAMPLES = 8, 24_000_000


def read_audio(path: str | Path) -> Tensor:
    """A recording of any rate as the world's audio; see `fit_audio`.

    A recording lasts at most 60 s, in at most 8 channels of 24 million samples together. Its channels are averaged;
    where they cancel, the loudest is taken.
    """
    return read(path, "a recording", ENDINGS, _decode, lambda decoded: fit_audio(*decoded))


def _decode(data: bytes) -> tuple[Tensor, int]:
    """All samples of a recording, as one channel, and its rate."""
    if not data.startswith(MAGIC):
        raise ValueError("Format not recognised.")
    with soundfile.SoundFile(io.BytesIO(_closed(data))) as sound:
        if sound.format not in VOICES:
            raise ValueError(f"{sound.format} is none of {', '.join(VOICES)}")
        if sound.channels > MAX_CHANNELS:
            raise ValueError(f"{sound.channels} channels are more than {MAX_CHANNELS}")
        # what is not seekable is read to its end; the header of a file that was written to a pipe lacks the count
        sound.seekable = lambda: False
        most = min(MAX_SECONDS * sound.samplerate, MAX_SAMPLES // sound.channels)
        wave = torch.from_numpy(sound.read(most + 1, dtype="float32", always_2d=True))
        if not len(wave):
            raise ValueError("it holds no sound")
        if len(wave) > most:
            raise ValueError(f"it holds more than {MAX_SECONDS} s or {MAX_SAMPLES:,} samples")
        return _mono(wave), sound.samplerate


def _closed(data: bytes) -> bytes:
    """Corrects the data size 0 that a killed recorder leaves in the header of a WAV file."""
    order = {b"RIFF": "<", b"RIFX": ">"}.get(data[:4])
    at = 12
    while order and at + 8 <= len(data):
        name, size = struct.unpack_from(order + "4sI", data, at)
        at += 8
        if name == b"data":
            empty = size == 0 and not _is_chunk(data, at, order)
            return data[: at - 4] + struct.pack(order + "I", len(data) - at) + data[at:] if empty else data
        at += size + size % 2
    return data


def _is_chunk(data: bytes, at: int, order: str) -> bool:
    """Whether a chunk starts here, and no samples: a name of four characters, and a size that fits into the file."""
    if at + 8 > len(data):
        return False
    name, size = struct.unpack_from(order + "4sI", data, at)
    return name.isascii() and name.decode().isprintable() and at + 8 + size <= len(data)


def _mono(wave: Tensor) -> Tensor:
    """The mean of the channels of "n c", or the loudest where they cancel, as with one crossed microphone."""
    mean, loudness = wave.mean(1), wave.std(0, correction=0)
    cancelled = mean.std(correction=0) < loudness.max() / (2 * wave.shape[1])
    return wave[:, loudness.argmax()] if cancelled else mean
