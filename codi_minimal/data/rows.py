"""The rows of the public data sets, MNIST and FSDD: bytes and labels are checked and decoded."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import soundfile
from PIL import Image
from pyarrow.parquet import ParquetFile

from .voices import RATE, trim

VOICES = ("WAV", "WAVEX", "RF64", "FLAC", "OGG", "MP3")  # formats of recordings; libsndfile reads many more
MAX_SECONDS, MAX_ROWS = 60, 300_000  # a parquet file of kilobytes may have millions of rows


def read_parquet(path: Path) -> pa.Table:
    """All rows of a parquet file; a ValueError if there are more than MAX_ROWS."""
    with ParquetFile(path) as file:
        if (rows := file.metadata.num_rows) > MAX_ROWS:
            raise ValueError(f"{rows:,} rows, more than {MAX_ROWS:,}")
        return file.read()


def decode_handwriting(rows: pa.Table) -> tuple[np.ndarray, list[int]]:
    """MNIST's columns image and label: glyphs uint8 "n 28 28", and their digits."""
    return np.stack([_glyph(_content(cell)) for cell in rows["image"].to_pylist()]), _labels(rows)


def decode_voices(rows: pa.Table) -> tuple[list[np.ndarray], list[int], list[str]]:
    """FSDD's columns audio, label and, if it is there, speaker: trimmed waves, their digits and speakers."""
    cells, labels = rows["audio"].to_pylist(), _labels(rows)
    voices = [_voice(_content(cell)) for cell in cells]
    if "speaker" in rows.column_names:
        return voices, labels, _checked(rows["speaker"], "a string as speaker", lambda x: isinstance(x, str))
    # FSDD names its files digit_speaker_take.wav. Copies without the column keep the names.
    names = [Path(cell["path"] or "").stem.split("_") for cell in cells]
    return voices, labels, [parts[1] if len(parts) == 3 else "unknown" for parts in names]


def _content(cell: dict[str, Any] | None) -> io.BytesIO:
    if not cell or not cell["bytes"]:
        raise ValueError("a row without bytes")
    return io.BytesIO(cell["bytes"])


def _glyph(file: io.BytesIO) -> np.ndarray:
    with Image.open(file, formats=("PNG",)) as image:
        if (*image.size, image.mode) != (28, 28, "L"):
            raise ValueError(f"an image of {image.width}x{image.height} in mode {image.mode}, not 28x28 grey (L)")
        return np.asarray(image)


def _voice(file: io.BytesIO) -> np.ndarray:
    with soundfile.SoundFile(file) as sound:
        if sound.format not in VOICES or sound.samplerate != RATE:
            raise ValueError(f"a recording in {sound.format} at {sound.samplerate} Hz, not {RATE} in {VOICES}")
        if sound.channels > 1 or sound.frames > MAX_SECONDS * RATE:
            came = f"{sound.channels} channels, {sound.frames:,} samples"
            raise ValueError(f"a recording of {came}, not 1 channel of at most {MAX_SECONDS} s")
        return trim(sound.read(dtype="float32"))


def _labels(rows: pa.Table) -> list[int]:
    return _checked(rows["label"], "a whole number as label, 0 … 9", lambda x: type(x) is int and 0 <= x <= 9)


def _checked(column: pa.ChunkedArray, expected: str, is_right: Callable[[Any], bool]) -> list[Any]:
    values = column.to_pylist()
    for row, value in enumerate(values):
        if not is_right(value):
            raise ValueError(f"row {row}: expected {expected}, got {value!r}")
    return values
