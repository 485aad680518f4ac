"""Reads captions."""

from pathlib import Path

from .files import Kind, decoding, read_bytes

TEXT_FILE = Kind("a UTF-8 text file", (".txt",))


def read_text(path: str | Path) -> str:
    """The caption in a text file: its words, one space apart.

    Raises:
        ValueError: if the file cannot be read, or if it holds only white space.
    """
    data = read_bytes(path, TEXT_FILE)
    with decoding(path, TEXT_FILE):
        text = " ".join(data.decode("utf-8-sig").split())  # Windows puts a mark of its own before the first word
    if not text:
        raise ValueError(f"{path}: expected a caption, got only white space")
    return text
