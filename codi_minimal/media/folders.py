"""Reads pairs of one's own: files that share a name, a table of paths and captions, or a data set of `datasets`."""

import csv
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from codi_minimal.config import MAX_WORDS
from codi_minimal.data import OwnPairs
from codi_minimal.data.own_pairs import FEWEST, whole_numbers, words_of
from codi_minimal.inputs import HUB_NAME

from .clips import CONTAINERS
from .files import MAX_BYTES
from .pictures import PICTURE_ENDINGS
from .recordings import RECORDING_ENDINGS

MAX_ITEMS = 100_000
ENDINGS = {
    **dict.fromkeys(RECORDING_ENDINGS, "audio"),
    **dict.fromkeys(CONTAINERS, "video"),
    **dict.fromkeys(PICTURE_ENDINGS, "image"),
    ".txt": "text",
}
MODALITY_OF = {"text": "text", "caption": "text", "image": "image", "audio": "audio", "video": "video"}
DATASET_FILES = ("dataset_info.json", "dataset_dict.json")  # what `save_to_disk` leaves in a folder
# how the bytes of a data set's cells begin, from which byte on, where their path has no ending
SIGNATURES = (
    (0, b"\x89PNG", ".png"), (0, b"\xff\xd8", ".jpg"), (0, b"BM", ".bmp"), (8, b"WEBP", ".webp"), (0, b"RIFF", ".wav"),
    (0, b"fLaC", ".flac"), (0, b"OggS", ".ogg"), (0, b"ID3", ".mp3"), (0, b"\xff\xfb", ".mp3"), (0, b"GIF8", ".gif"),
    (4, b"ftypM4A", ".m4a"), (4, b"ftyp", ".mp4"), (0, b"\x1aE\xdf\xa3", ".webm"),
)  # fmt: skip

Item = tuple[str, Mapping[str, Any]]  # its name for messages, and for each modality a path or a list of captions


def read_pairs(
    place: str | Path,
    readers: Mapping[str, Callable[[Any], Tensor]],
    fit: str = "plain",
    max_words: int = MAX_WORDS,
    progress: bool = False,
) -> OwnPairs:
    """All items of a folder, a table or a data set; the share to train on is `OwnPairs.share`.

    Items with the same data are one, with the captions of all. What is in no pair is left out, with a warning.

    Args:
        place: a folder, whose files of one name (0001.png, 0001.txt) are an item, and each line of a text file is one
            of its captions; a CSV file with the columns text (or caption), image, audio and video, all but the first
            of them paths; a folder that `datasets` has saved; or the name of a data set on the hub.
        readers: one of `media.READERS_OF`. fit: which.
        max_words: the longest caption.

    Raises:
        ValueError: nothing to read, a file or a caption that cannot be used, or fewer than FEWEST pairs of a pairing.
    """
    texts: dict[tuple[bytes, ...], dict[str, None]] = {}  # by the data of an item: its captions
    rows: dict[str, list[int]] = {name: [] for name in readers if name != "text"}
    found: dict[str, list[Tensor]] = {name: [] for name in rows}
    alone: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for name, item in tqdm(_items(str(place), Path(folder)), "reading", leave=False, disable=not progress):
            said = _captions(name, item.get("text", ()), max_words)
            if bool(said) + len(set(item) - {"text"}) < 2:
                alone.append(name)
                continue
            if len(texts) == MAX_ITEMS:
                raise ValueError(f"{place}: expected at most {MAX_ITEMS:,} items, got more")
            try:
                data = {m: whole_numbers(m, readers[m](item[m])) for m in rows if m in item}
            except ValueError as error:
                raise ValueError(f"{name}: {str(error).removeprefix(f'{folder}/')}") from None
            key = tuple(sha256(data[m].numpy().tobytes()).digest() if m in data else b"" for m in rows)
            if key not in texts:
                for m, of_modality in found.items():
                    rows[m].append(len(of_modality) if m in data else -1)
                    of_modality += [data[m]] if m in data else []
            texts.setdefault(key, {}).update(dict.fromkeys(said))
    there = {m: torch.stack(data) for m, data in found.items() if data}
    indices = {m: torch.tensor(rows[m]) for m in there}
    pairs = OwnPairs([tuple(said) for said in texts.values()], indices, there, Path(place).name, fit)
    if not pairs.pairings:
        expected = "two files of one name and of different kinds, as 0001.png and 0001.txt"
        raise ValueError(f"{place}: expected pairs, {expected}; got none among {len(alone)} items")
    for pairing in pairs.pairings:
        if (n := len(pairs.items_of(pairing))) < FEWEST:
            raise ValueError(f"{place}: expected at least {FEWEST} pairs of {' and '.join(pairing)}, got {n}")
    if alone:
        some = ", ".join(alone[:3])
        warnings.warn(f"{place}: left out {len(alone)} that are in no pair, such as {some}", stacklevel=2)
    return pairs


def _captions(name: str, lines: Sequence[str], max_words: int) -> tuple[str, ...]:
    """The captions of an item, one space between words, without empty lines."""
    texts = tuple(dict.fromkeys(" ".join(line.split()) for line in lines if line.strip()))
    for text in texts:
        if not 1 <= (n := len(words_of(text))) <= max_words:
            raise ValueError(f"{name}: expected a caption of 1 to {max_words} words, got {n}: {text[:80]!r}")
    return texts


def _items(place: str, scratch: Path) -> Iterator[Item]:
    path = Path(place)
    if path.suffix.lower() == ".csv":
        return _of_table(path)
    if path.is_dir():
        saved = any((path / name).is_file() for name in DATASET_FILES)
        return _of_dataset(place, scratch, saved=True) if saved else _of_folder(path)
    if path.exists() or not HUB_NAME.fullmatch(place) or path.parent.exists():
        raise ValueError(f"{place}: expected a folder, a CSV file, or a data set of the hub, as user/name; got none")
    return _of_dataset(place, scratch, saved=False)


def _of_folder(folder: Path) -> Iterator[Item]:
    """Files of one folder and one name, whatever their endings, are an item."""
    items: dict[Path, dict[str, Path]] = {}
    ignored: set[str] = set()
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or any(part.startswith(".") for part in path.relative_to(folder).parts):
            continue
        if (modality := ENDINGS.get(path.suffix.lower())) is None:
            ignored.add(path.suffix or path.name)
            continue
        item = items.setdefault(path.with_suffix(""), {})
        if modality in item:
            raise ValueError(f"{path}: expected one file of {modality} of this name, got {item[modality].name}, too")
        item[modality] = path
    if ignored:
        warnings.warn(f"{folder}: ignored files that end in {', '.join(sorted(ignored))}", stacklevel=2)
    for stem, item in items.items():
        text = {"text": _lines(item["text"])} if "text" in item else {}
        yield str(stem), item | text


def _lines(path: Path) -> list[str]:
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path}: expected a text file of at most {MAX_BYTES:,} bytes, got {path.stat().st_size:,}")
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected a text file in UTF-8, got one that cannot be read ({error})") from None


def _of_table(path: Path) -> Iterator[Item]:
    """The rows of a CSV file. Paths are relative to its folder."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header, *table = list(csv.reader(file)) or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: expected a CSV file in UTF-8, got one that cannot be read ({error})") from None
    columns = {i: MODALITY_OF[name] for i, cell in enumerate(header) if (name := cell.strip().lower()) in MODALITY_OF}
    if len(columns) < 2 or len(set(columns.values())) < len(columns):
        expected = f"expected a header with two or more of {', '.join(MODALITY_OF)}, with commas between them"
        raise ValueError(f"{path}: {expected}, got {header}")
    for number, row in enumerate(table, 2):
        if row and len(row) != len(header):
            raise ValueError(f"{path}, line {number}: expected {len(header)} cells, got {len(row)}: {row}")
        cells = {name: row[i].strip() for i, name in columns.items() if row and row[i].strip()}
        yield f"{path}, line {number}", _item(cells, lambda modality, cell: path.parent / cell)


def _of_dataset(place: str, scratch: Path, saved: bool) -> Iterator[Item]:
    """The rows of a data set, or of its split "train"."""
    import datasets

    try:
        table = datasets.load_from_disk(place) if saved else datasets.load_dataset(place)
    except Exception as error:  # no network, no such name, a damaged folder
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(f"{place}: expected a data set, got one that cannot be read ({reason})") from error
    if isinstance(table, dict):
        if "train" not in table:
            raise ValueError(f"{place}: expected a split train, got {', '.join(table)}")
        table = table["train"]
    kinds = {datasets.Image: "image", datasets.Audio: "audio", datasets.Video: "video"}
    columns = {}
    for name, feature in table.features.items():
        modality = MODALITY_OF.get(name, kinds.get(type(feature)))
        if modality is not None and modality not in columns.values():
            columns[name] = modality
        if type(feature) in kinds:
            table = table.cast_column(name, type(feature)(decode=False))
    if len(columns) < 2:
        raise ValueError(f"{place}: expected columns out of {', '.join(MODALITY_OF)}, got {', '.join(table.features)}")
    for number, row in enumerate(table.select_columns(list(columns))):
        cells = {columns[name]: cell for name, cell in row.items() if cell}
        try:
            item = _item(cells, partial(_as_file, scratch))
        except ValueError as error:
            raise ValueError(f"{place}, row {number}: {error}") from None
        yield f"{place}, row {number}", item


def _item(cells: Mapping[str, Any], file: Callable[[str, Any], Path]) -> dict[str, Any]:
    """An item of its cells by modality: a caption or several, and what `file` makes a path of."""
    texts = cells.get("text", [])
    if not isinstance(texts, (str, list)) or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"expected a caption or a list of captions, got {texts!r}")
    paths = {name: file(name, cell) for name, cell in cells.items() if name != "text"}
    return {"text": [texts] if isinstance(texts, str) else list(texts), **paths}


def _as_file(scratch: Path, modality: str, cell: Any) -> Path:
    """A cell's bytes as a file, which that of the next row replaces; or its path."""
    if isinstance(cell, str):
        return Path(cell)
    if not isinstance(cell, Mapping) or not (cell.get("bytes") or cell.get("path")):
        raise ValueError(f"expected a path, or bytes, as {modality}, got {str(cell)[:80]}")
    if not (data := cell.get("bytes")):
        return Path(cell["path"])
    ending = Path(cell.get("path") or "").suffix.lower()
    if ending not in ENDINGS:
        ending = next((end for at, magic, end in SIGNATURES if data[at:].startswith(magic)), ending)
    path = scratch / f"{modality}{ending}"
    path.write_bytes(data)
    return path
