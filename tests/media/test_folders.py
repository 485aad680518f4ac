"""Pairs as people have them: files of one name, a table, a data set; and what is wrong with them in one line."""

import csv

import datasets
import pytest
import torch

from codi_minimal.media import READERS_OF, write_gif, write_png, write_text, write_wav
from codi_minimal.media.folders import _as_file, read_pairs

READ = READERS_OF["plain"]


def grey(level: float) -> torch.Tensor:
    return torch.full((3, 32, 32), level)


def tone(i: int) -> torch.Tensor:
    return 0.1 * i * torch.ones(8192)


@pytest.fixture
def folder(tmp_path):
    """Six captioned pictures, five clips with sound; levels and captions count them."""
    (tmp_path / ".checkpoints").mkdir()
    write_png(tmp_path / ".checkpoints" / "0.png", grey(0.05))
    write_text(tmp_path / ".checkpoints" / "0.txt", "not to be read")
    for i in range(6):
        write_png(tmp_path / f"{i}.png", grey(0.1 * i))
        write_text(tmp_path / f"{i}.txt", f"level {i}")
    (tmp_path / "clips").mkdir()
    for i in range(5):
        write_gif(tmp_path / "clips" / f"{i}.GIF", grey(0.2 * i).expand(8, 3, 32, 32))
        write_wav(tmp_path / "clips" / f"{i}.wav", tone(i))
    return tmp_path


def levels(pairs, name: str) -> list[float]:
    items = pairs.items_of([name])
    return (pairs.data(name, items).flatten(1)[:, 4000 if "audio" in name else 0] * 10).round().tolist()


def test_files_of_one_name_are_an_item(folder):
    (folder / "0.txt").write_text("level 0\n\n  the  darkest \n", encoding="utf-8")
    (folder / ".hidden.png").write_bytes(b"")
    pairs = read_pairs(folder, READ)
    assert pairs.pairings == (("text", "image"), ("audio", "video"))
    assert levels(pairs, "image") == [0, 1, 2, 3, 4, 5] and levels(pairs, "audio") == [0, 1, 2, 3, 4]
    assert [pairs.texts[i] for i in pairs.items_of(["image"])][:2] == [("level 0", "the darkest"), ("level 1",)]
    assert levels(pairs, "video") == [0, 2, 4, 6, 8]
    assert pairs.fit == "plain" and folder.name in pairs.name and "read" not in pairs.vocabulary


@pytest.mark.filterwarnings("default")
def test_what_is_in_no_pair_is_left_out_and_named(folder):
    write_text(folder / "README.txt", "All my pictures")
    (folder / "3.txt").write_text("")
    with pytest.warns(UserWarning, match=r"left out 2 that are in no pair, such as .*3, .*README$"):
        pairs = read_pairs(folder, READ)
    assert "pictures" not in pairs.vocabulary and len(pairs.items_of(["image"])) == 5


def test_items_with_the_same_data_are_one_with_all_captions(folder):
    lines = [f"{i}.png,{say} {i}" for i in range(6) for say in ("level", "grey")]
    (folder / "table.csv").write_text("\n".join(["IMAGE, Caption", *lines]), encoding="utf-8-sig")
    pairs = read_pairs(folder / "table.csv", READ)
    assert levels(pairs, "image") == [0, 1, 2, 3, 4, 5]
    assert list(pairs.texts) == [(f"level {i}", f"grey {i}") for i in range(6)]


def test_a_table_has_paths_and_captions(folder):
    with (folder / "table.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["caption", "image", "source", "audio"])
        for i in range(6):
            table.writerow([f"the level {i}", f"{i}.png", "mine", f"clips/{i}.wav" if i < 5 else ""])
    pairs = read_pairs(folder / "table.csv", READ)
    assert [len(pairs.items_of(p)) for p in (("text", "image"), ("text", "audio"), ("image", "audio"))] == [6, 5, 5]
    assert levels(pairs, "image") == [0, 1, 2, 3, 4, 5] and pairs.texts[5] == ("the level 5",)


@pytest.mark.parametrize("column", ["picture", "image"])
def test_a_data_set_has_pictures_and_captions(folder, tmp_path, column):
    files, said = [str(folder / f"{i}.png") for i in range(6)], [[f"level {i}", f"number {i}"] for i in range(6)]
    made = datasets.Dataset.from_dict({column: files, "text": said, "licence": ["mine"] * 6})
    made = made.cast_column(column, datasets.Image()).map(lambda row: row)  # whose bytes are in the table
    for kind, place in ((made, "plain"), (datasets.DatasetDict(train=made), "split")):
        kind.save_to_disk(tmp_path / "saved" / place)
        pairs = read_pairs(tmp_path / "saved" / place, READ)
        assert levels(pairs, "image") == [0, 1, 2, 3, 4, 5] and pairs.texts[2] == ("level 2", "number 2")
    paths = datasets.Dataset.from_dict({"image": files, "text": said})
    paths.save_to_disk(tmp_path / "paths")
    assert levels(read_pairs(tmp_path / "paths", READ), "image") == [0, 1, 2, 3, 4, 5]
    datasets.DatasetDict(test=made).save_to_disk(tmp_path / "other")
    with pytest.raises(ValueError, match="expected a split train, got test"):
        read_pairs(tmp_path / "other", READ)


@pytest.mark.filterwarnings("default")
def test_files_of_other_kinds_are_named_once(folder):
    (folder / "notes.doc").write_text("x")
    (folder / "6.json").write_text("{}")
    with pytest.warns(UserWarning, match="ignored files that end in .doc, .json$"):
        read_pairs(folder, READ)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "0.jpg").write_bytes(b"x"), "0.png: expected one file of image of this name, got 0.jpg, too"),
        (lambda f: (f / "3.png").write_bytes(b"not a picture"), r"3.png: expected a picture .*cannot be read"),
        (lambda f: (f / "3.txt").write_text("... !"), "3: expected a caption of 1 to 12 words, got 0: '... !'"),
        (lambda f: (f / "3.txt").write_text("many " * 13), "3: expected a caption of 1 to 12 words, got 13"),
        (lambda f: (f / "3.txt").write_bytes(b"\xff\xfe\xfa"), r"3.txt: expected a text file in UTF-8"),
        (lambda f: [p.unlink() for p in f.glob("[3-5].*")], "expected at least 4 pairs of text and image, got 3"),
    ],
)
def test_what_cannot_be_used_is_named(folder, spoil, message):
    spoil(folder)
    with pytest.raises(ValueError, match=message):
        read_pairs(folder, READ, max_words=12)


def test_places_without_pairs_are_refused(tmp_path, folder):
    alone = tmp_path / "alone"
    alone.mkdir()
    write_png(alone / "a.png", grey(0.3))
    write_text(alone / "b.txt", "other")
    with pytest.raises(ValueError, match="expected pairs, two files of one name and of different kinds.*among 2 items"):
        read_pairs(alone, READ)
    (alone / "t.csv").write_text("path,label\na.png,3\n")
    with pytest.raises(ValueError, match="expected a header with two or more of text, caption.* got .*label"):
        read_pairs(alone / "t.csv", READ)
    for text, message in (
        ("", "expected a header"),
        ("image;text\na.png;b", "with commas between them, got .'image;text'."),
        ("text,caption,image\na,b,a.png", "expected a header"),
        ("image,text\na.png,a red, round cat", "line 2: expected 2 cells, got 3"),
    ):
        (alone / "t.csv").write_text(text)
        with pytest.raises(ValueError, match=message):
            read_pairs(alone / "t.csv", READ)
    for place in (tmp_path / "nowhere", "nowhere", "../nowhere", "tests/nowhere"):
        with pytest.raises(ValueError, match="expected a folder, a CSV file, or a data set of the hub"):
            read_pairs(place, READ)
    saved = datasets.Dataset.from_dict({"text": [1, 2], "image": ["a", "b"]})
    saved.save_to_disk(tmp_path / "numbers")
    with pytest.raises(ValueError, match="row 0: expected a caption or a list of captions, got 1"):
        read_pairs(tmp_path / "numbers", READ)
    empty = datasets.Dataset.from_dict({"text": ["a"], "image": [{"bytes": b"", "path": None}]})
    empty.save_to_disk(tmp_path / "empty")
    with pytest.raises(ValueError, match="row 0: expected a path, or bytes, as image"):
        read_pairs(tmp_path / "empty", READ)


@pytest.mark.parametrize(
    ("data", "ending"),
    [(b"RIFF1234WEBPVP8", ".webp"), (b"RIFF1234WAVEfmt", ".wav"), (b"1234ftypisom", ".mp4"), (b"1234ftypM4A ", ".m4a")],
)
def test_bytes_without_a_name_are_known_by_how_they_begin(tmp_path, data, ending):
    path = _as_file(tmp_path, "image", {"bytes": data, "path": None})
    assert path.suffix == ending and path.read_bytes() == data
    assert _as_file(tmp_path, "audio", {"bytes": b"x", "path": "a.MP4"}) != _as_file(tmp_path, "video", {"bytes": data})
