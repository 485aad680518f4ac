"""Reads recordings."""

import io
import struct
from pathlib import Path

import soundfile
import torch
from torch import Tensor

from codi_minimal.data.sources import MAX_SECONDS, VOICES
from codi_minimal.fitting import fit_audio

from .files import Kind, decoding, naming, read_bytes

AUDIO_FILE = Kind("a recording", (".wav", ".flac", ".ogg", ".mp3"))
MAGIC = (b"RIFF", b"RIFX", b"RF64", b"fLaC", b"OggS", b"ID3", b"\xff")  # how files of these formats begin
MAX_CHANNELS, MAX_SAMPLES = 8, 24_000_000


def read_audio(path: str | Path) -> Tensor:
    """A recording of any rate as the world's audio; see `fit_audio`.

    A recording lasts at most 60 s, in at most 8 channels of 24 million samples together. Its channels are averaged;
    where they cancel, the loudest is taken.

    Returns:
        "8192" in [-1, 1], at 8 kHz.
    Raises:
        ValueError: if the file cannot be read, is too long, or holds no voice.
    """
    data = read_bytes(path, AUDIO_FILE)
    with decoding(path, AUDIO_FILE):
        if not data.startswith(MAGIC):
            raise ValueError("Format not recognised.")
        with soundfile.SoundFile(io.BytesIO(_closed(data))) as sound:
            _check_size(sound)
            wave, rate = sound.read(dtype="float32", always_2d=True), sound.samplerate
    with naming(path):
        return fit_audio(_mono(torch.from_numpy(wave)), rate)


def _check_size(sound: soundfile.SoundFile) -> None:
    if sound.format not in VOICES:
        raise ValueError(f"{sound.format} is none of {', '.join(VOICES)}")
    if not sound.frames:
        raise ValueError("it holds no sound")
    if sound.frames > MAX_SECONDS * sound.samplerate:
        raise ValueError(f"{sound.frames / sound.samplerate:.0f} s is more than {MAX_SECONDS} s")
    if sound.channels > MAX_CHANNELS or sound.frames * sound.channels > MAX_SAMPLES:
        came = f"{sound.channels} channels of {sound.frames:,} samples"
        raise ValueError(f"{came} is more than {MAX_CHANNELS} channels or {MAX_SAMPLES:,} samples in all")


def _closed(data: bytes) -> bytes:
    """Corrects the data size 0 that a killed recorder leaves in the header of a WAV file."""
    at = 12
    while data.startswith(b"RIFF") and at + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, at)
        at += 8
        if name == b"data":
            return data if size else data[: at - 4] + struct.pack("<I", len(data) - at) + data[at:]
        at += size + size % 2
    return data


def _mono(wave: Tensor) -> Tensor:
    """The mean of the channels of "n c", or the loudest where they cancel, as with one crossed microphone."""
    mean, loudness = wave.mean(1), wave.std(0, correction=0)
    cancelled = mean.std(correction=0) < loudness.max() / (2 * wave.shape[1])
    return wave[:, loudness.argmax()] if cancelled else mean
