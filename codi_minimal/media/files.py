"""What every reader does: it checks a file before it decodes it, and says in one line what is wrong with it."""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from PIL import Image

MAX_BYTES = 50_000_000
MAX_READS = 500_000


class Kind(NamedTuple):
    """A kind of file, for messages, and the endings that its files may have, as (".gif", ".mp4")."""

    name: str
    endings: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name} ({', '.join(self.endings)})"


def read_bytes(path: str | Path, expected: Kind) -> bytes:
    """The content of a file.

    Args:
        path: a file with one of the endings that are expected.
        expected: what the file should be.
    Raises:
        ValueError: if there is no such file, or if it has another ending, no bytes or more than `MAX_BYTES`.
    """
    path = Path(path)
    if not path.is_file():
        came = "a folder" if path.is_dir() else "no such file"
        raise ValueError(f"{path}: expected {expected}, got {came}")
    suffix = path.suffix.lower()
    if suffix not in expected.endings:
        raise ValueError(f"{path}: expected {expected}, got the ending {suffix!r}")
    size = path.stat().st_size
    if not 0 < size <= MAX_BYTES:
        raise ValueError(f"{path}: expected {expected} of 1 to {MAX_BYTES:,} bytes, got {size:,}")
    return path.read_bytes()


class Content(io.BytesIO):
    """A file's bytes for Pillow, which may read them in at most `MAX_READS` pieces.

    Pillow parses PNG, JPEG and GIF in Python, one small piece after the other. A file of 50 MB can hold 50 million
    pieces, and takes half a minute then. Ordinary files of that size hold less than `MAX_READS`.
    """

    reads = 0

    def read(self, size: int | None = -1) -> bytes:
        """The next bytes; ValueError if there were too many reads."""
        self.reads += 1
        if self.reads > MAX_READS:
            raise ValueError(f"it consists of more than {MAX_READS:,} pieces")
        return super().read(size)


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Puts the file's name before what a ValueError says."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


@contextmanager
def decoding(path: str | Path, expected: Kind) -> Iterator[None]:
    """Turns whatever a decoder raises into a ValueError of one line that names the file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except ImportError:
        raise
    except Exception as error:  # decoders raise OSError, SyntaxError, struct.error, EOFError and their own
        reason = (str(error) or type(error).__name__).splitlines()[0]
        reason = re.sub(r"\W*<([\w.]+ object at|none)\b[^>]*>'?", "", reason)  # decoders know no name for our bytes
        raise ValueError(f"{path}: expected {expected}, got one that cannot be read ({reason})") from error
