"""Readers of files: whole ones, broken ones, and ones that are something else than their name says."""

import io
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from codi_minimal import media
from tests.fuzz.outcome import fuzzing, outcome
from tests.media.making import film

pytestmark = pytest.mark.slow

ENDINGS = {
    "image": (".png", ".jpg", ".webp", ".bmp"),
    "audio": (".wav", ".flac", ".ogg", ".mp3", ".m4a"),
    "video": (".gif", ".mp4", ".webm"),
    "text": (".txt",),
}
SHAPES = {"image": (3, 32, 32), "audio": (8192,), "video": (8, 3, 32, 32)}


@cache
def files() -> list[tuple[str, bytes]]:
    """One small file of every kind, by its ending."""
    made = [(".txt", b"a red seven\n")]
    picture = Image.new("RGB", (40, 50), "white")
    picture.paste((120, 20, 20), (15, 10, 22, 40))
    for ending, kind in ((".png", "PNG"), (".jpg", "JPEG"), (".webp", "WEBP"), (".bmp", "BMP")):
        made.append((ending, saved(picture, format=kind)))
    made.append((".png", saved(picture.convert("P"), format="PNG")))
    frames = [picture.rotate(10 * i, fillcolor="white") for i in range(4)]
    made.append((".gif", saved(frames[0], format="GIF", save_all=True, append_images=frames[1:], duration=250)))
    wave = np.concatenate([np.zeros(2000), 0.5 * np.sin(np.arange(4000) / 3)]).astype(np.float32)
    for ending, kind in ((".wav", "WAV"), (".flac", "FLAC"), (".ogg", "OGG"), (".mp3", "MP3")):
        buffer = io.BytesIO()
        soundfile.write(buffer, wave, 8000, format=kind)
        made.append((ending, buffer.getvalue()))
    with TemporaryDirectory() as folder:
        for ending in (".mp4", ".webm", ".m4a"):
            path = film(Path(folder) / f"a{ending}", seconds=1, fps=8, pictures=ending != ".m4a", begins=0.3)
            made.append((ending, path.read_bytes()))
    return made


def saved(picture: Image.Image, **how) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, **how)
    return buffer.getvalue()


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, bytes]:
    """A file with a few bytes changed, cut off, put in or taken from another file; sometimes under another ending."""
    ending, content = draw(st.sampled_from(files()))
    data = bytearray(content)
    for _ in range(draw(st.integers(0, 3))):
        at = int(draw(st.floats(0, 1)) ** 2 * len(data))  # more often near the start, where headers are
        kind = draw(st.sampled_from(["change", "change", "change", "cut", "insert", "splice"]))
        if kind == "change":
            data[at : at + 1] = draw(st.binary(min_size=1, max_size=2))
        elif kind == "cut":
            data = data[:at]
        elif kind == "insert":
            data[at:at] = draw(st.sampled_from([b"\xff" * 4, b"\x00" * 16, b"%!PS-Adobe-3.0\n", b"$\\frac{", b"\n"]))
        else:
            data[at:] = draw(st.sampled_from(files()))[1]
    every = [other for endings in ENDINGS.values() for other in endings]
    return draw(st.sampled_from([ending] * 6 + every)), bytes(data)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("files")


@fuzzing(1000)
@given(damaged())
def test_readers(folder, file):
    ending, data = file
    name = next(name for name, endings in ENDINGS.items() if ending in endings)
    path = folder / f"file{ending}"
    path.write_bytes(data)

    def check(item) -> None:
        if name == "text":
            assert isinstance(item, str) and item.strip()
        else:
            assert item.shape == SHAPES[name] and item.dtype == torch.float32 and item.isfinite().all()
            assert item.min() >= (-1 if name == "audio" else 0) and item.max() <= 1

    outcome("files", lambda: media.READERS[name](path), check)
