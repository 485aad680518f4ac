"""What all readers share: check a file, decode it, fit it to the world, report any fault in one line. And captions."""

import io
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

MAX_BYTES = 50_000_000
MAX_READS = 500_000


def read(path: str | Path, kind: str, endings: tuple[str, ...], decode: Callable, fit: Callable) -> Any:
    """`fit(decode(bytes))` of a file of 1 to `MAX_BYTES` bytes. Every fault is a ValueError that names it in one line.

    `kind` is what the file should be, for messages. `decode` may raise anything, and an ImportError is passed on. `fit`
    raises a ValueError if the content cannot be used.
    """
    path = Path(path)
    expected = f"{path}: expected {kind} ({', '.join(endings)})"
    if not path.is_file():
        raise ValueError(f"{expected}, got {'a folder' if path.is_dir() else 'no such file'}")
    if (ending := path.suffix.lower()) not in endings:
        raise ValueError(f"{expected}, got the ending {ending!r}")
    if not 0 < (size := path.stat().st_size) <= MAX_BYTES:
        raise ValueError(f"{expected} of 1 to {MAX_BYTES:,} bytes, got {size:,}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            content = decode(path.read_bytes())
    except ImportError:
        raise
    except Exception as error:  # decoders raise OSError, SyntaxError, struct.error, EOFError and their own
        reason = (str(error) or type(error).__name__).splitlines()[0]
        reason = re.sub(r"\W*<([\w.]+ object at|none)\b[^>]*>'?", "", reason)  # the name that decoders give our bytes
        raise ValueError(f"{expected}, got one that cannot be read ({reason})") from error
    try:
        return fit(content)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


class Content(io.BytesIO):
    """A file's bytes for Pillow, which may read them in at most `MAX_READS` pieces; ValueError on more.

    Pillow parses PNG, JPEG and GIF in Python, one small piece after the other. A file of 50 MB can hold 50 million
    pieces, and takes half a minute then. Ordinary files of that size hold less than `MAX_READS`.
    """

    reads = 0

    def read(self, size: int | None = -1) -> bytes:
        self.reads += 1
        if self.reads > MAX_READS:
            raise ValueError(f"it consists of more than {MAX_READS:,} pieces")
        return super().read(size)


def read_text(path: str | Path) -> str:
    """The caption in a UTF-8 text file: its words, one space apart."""

    def decode(data: bytes) -> str:
        if not (words := data.decode("utf-8-sig").split()):  # sig: Windows writes a mark before the first word
            raise ValueError("only white space")
        return " ".join(words)

    return read(path, "a UTF-8 text file", (".txt",), decode, str)
