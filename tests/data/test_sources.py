"""Sources: the order in which they are tried, what they hold, and what is refused."""

import io
import logging
import os
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
import torch
from datasets import Dataset
from PIL import EpsImagePlugin, Image

from codi_minimal.data import load, sources, trim
from tests.media.making import POSTSCRIPT


@pytest.fixture(autouse=True)
def bare(monkeypatch):
    """No folder, and no network even where there is one."""
    monkeypatch.delenv("CODI_DATA", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def png(array, format="PNG"):
    file = io.BytesIO()
    Image.fromarray(array).save(file, format)
    return {"bytes": file.getvalue(), "path": None}


def wav(wave, rate=8000, format="WAV"):
    file = io.BytesIO()
    soundfile.write(file, wave, rate, format=format)
    return {"bytes": file.getvalue(), "path": "3_theo_7.wav"}


def write_glyphs(folder, glyph):
    rows = {"image": [png(glyph)] * 2, "label": [4, 5]}
    Dataset.from_dict(rows).to_parquet(folder / "mnist-train.parquet")


def write_voices(folder, wave, rate=8000, **columns):
    rows = {"audio": [wav(wave, rate)] * 2, "label": [3, 9], **columns}
    Dataset.from_dict(rows).to_parquet(folder / "fsdd-train.parquet")


GLYPH = np.arange(784, dtype=np.uint8).reshape(28, 28)
WAVE = np.concatenate([np.zeros(300), 0.3 * np.sin(np.arange(1000))])


def test_what_a_source_holds(source):
    assert source.glyphs.dtype == torch.uint8 and source.glyphs.shape[1:] == (28, 28)
    assert source.recordings.dtype == torch.float32 and source.recordings.shape[1] <= 8192
    assert len(source.digits) == len(source.glyphs) and len(source.spoken) == len(source.recordings)
    assert source.digits.unique().tolist() == source.spoken.unique().tolist() == list(range(10))
    assert source.speakers.unique().tolist() == list(range(6))
    for voice, length in zip(source.recordings, source.lengths.tolist(), strict=True):
        assert voice.abs().max() <= 0.8 + 1e-6 and not voice[length:].any()
        rms = voice[: length // 128 * 128].unfold(0, 128, 128).pow(2).mean(-1).sqrt()
        assert rms[0] > rms.max() / 10
    peaks = source.recordings.abs().amax(1)
    assert (peaks > 0.799).float().mean() > 0.97  # except the few whose peak lies past 8192 samples


def test_trim_starts_at_the_first_whole_window_that_passes_a_tenth():
    rng = np.random.default_rng(0)
    for loud, start in ((0.11, 256), (0.09, 384)):
        wave = np.zeros(128 * 8 + 50)
        wave[256:384], wave[384:1000] = loud * 0.5 * rng.choice([-1, 1], 128), 0.5
        voice = trim(wave)
        assert len(voice) == len(wave) - start and np.abs(voice).max() == pytest.approx(0.8)
        np.testing.assert_allclose(voice, wave[start:] * 1.6, rtol=1e-6)
    assert len(trim(np.ones(20000))) == 8192


@pytest.mark.parametrize(
    ("wave", "got"),
    [
        (np.zeros(4000), "silence"),
        (np.full(4000, np.nan), "NaN"),
        (np.r_[np.full(500, 0.1), np.inf, np.full(500, 0.1)], "infinite"),
        (np.ones(100), r"\(100,\)"),
        (np.ones((4000, 2)), r"\(4000, 2\)"),
    ],
)
def test_trim_refuses_what_is_no_voice(wave, got):
    with pytest.raises(ValueError, match=f"expected a voice.*got.*{got}"):
        trim(wave)


def test_folder_is_read_as_written(tmp_path, monkeypatch):
    write_glyphs(tmp_path, GLYPH)
    write_voices(tmp_path, WAVE, speaker=["theo", "george"])
    source = load(tmp_path)
    assert source.name == "folder"
    assert torch.equal(source.glyphs, torch.from_numpy(GLYPH).expand(2, 28, 28))
    assert source.digits.tolist() == [4, 5] and source.spoken.tolist() == [3, 9]
    assert source.speakers.tolist() == [1, 0] and source.lengths.tolist() == [1300 - 256] * 2
    monkeypatch.setenv("CODI_DATA", str(tmp_path))
    assert load().name == "folder"
    with pytest.raises(ValueError, match="mnist-test.parquet"):  # the folder given is the one meant
        load(split="test")


def test_speaker_is_read_from_the_file_name_where_there_is_no_column(tmp_path):
    write_glyphs(tmp_path, GLYPH)
    write_voices(tmp_path, WAVE)
    assert load(tmp_path).speakers.tolist() == [0, 0]


def test_broken_folders_are_named(tmp_path):
    with pytest.raises(ValueError, match="expected mnist-train.parquet .*image, label.* got none"):
        load(tmp_path)
    with pytest.raises(ValueError, match="in the data folder .*nowhere, got none"):
        load(tmp_path / "nowhere")
    write_glyphs(tmp_path, GLYPH)
    with pytest.raises(ValueError, match="expected fsdd-train.parquet"):
        load(tmp_path)
    (tmp_path / "fsdd-train.parquet").write_bytes(b"not parquet")
    with pytest.raises(ValueError, match="expected fsdd-train.parquet to be parquet with audio"):
        load(tmp_path)
    write_voices(tmp_path, WAVE, rate=16000)
    with pytest.raises(ValueError, match="fsdd-train.parquet.*16000 Hz, not 8000"):
        load(tmp_path)
    write_glyphs(tmp_path, GLYPH[:20])
    with pytest.raises(ValueError, match="mnist-train.parquet.*not 28x28"):
        load(tmp_path)


def test_a_small_file_of_millions_of_rows_is_refused(tmp_path):
    rows = {"image": pa.nulls(1_000_000), "label": pa.nulls(1_000_000)}
    pq.write_table(pa.table(rows), tmp_path / "mnist-train.parquet")
    assert (tmp_path / "mnist-train.parquet").stat().st_size < 10_000
    with pytest.raises(ValueError, match="mnist-train.parquet.*1,000,000 rows, more than 300,000"):
        load(tmp_path)


def test_the_hub_is_tried_next_and_its_failure_told(monkeypatch, caplog, sample):
    monkeypatch.setattr(sources, "_from_sample", lambda split: sample)

    def unreachable(split):
        raise ConnectionError(split)

    monkeypatch.setattr(sources, "_from_hub", unreachable)
    with caplog.at_level(logging.WARNING, logger="codi_minimal"):
        assert load().name == sample.name and not caplog.messages  # HF_HUB_OFFLINE: not even tried
        monkeypatch.delenv("HF_HUB_OFFLINE")
        assert load(hub=False).name == sample.name and not caplog.messages
        assert load().name == sample.name
    assert len(caplog.messages) == 1 and "ConnectionError" in caplog.messages[0]
    monkeypatch.setattr(sources, "_from_hub", lambda split: replace(sample, name="hub"))
    assert load().name == "hub"


LABELS = {"glyphs": ("digits",), "recordings": ("lengths", "spoken", "speakers")}


def rows(source, of):
    """Each glyph or recording with its labels."""
    labels = zip(*(getattr(source, name).tolist() for name in LABELS[of]), strict=True)
    return [(row.numpy().tobytes(), *each) for row, each in zip(getattr(source, of)[:, :2000], labels, strict=True)]


@pytest.mark.parametrize("seed", [0, 1])
def test_splits_are_disjoint_and_none_is_lost(seed):
    parts = {split: load(split=split, split_seed=seed) for split in sources.SPLITS}
    public = [sources._load(None, split, False) for split in ("train", "test")]
    for of in ("glyphs", "recordings"):
        found = [row for part in parts.values() for row in rows(part, of)]
        assert sorted(found) == sorted(row for part in public for row in rows(part, of))
        assert not set(rows(parts["validation"], of)) & {*rows(parts["train"], of), *rows(parts["test"], of)}
    assert [(part.split, part.split_seed) for part in parts.values()] == [(split, seed) for split in parts]


def test_a_tenth_of_each_digit_and_of_each_speaker_is_validation():
    train, validation = load(), load(split="validation")
    held, kept = (part.digits.bincount(minlength=10) for part in (validation, train))
    assert torch.equal(held, (0.1 * (held + kept)).round().long())
    for part, takes in ((validation, 1), (train, 4)):  # of five takes, of which a tenth is less than one
        assert (10 * part.speakers + part.spoken).bincount().tolist() == [takes] * 60


def test_the_split_seed_alone_draws_the_validation_share():
    one, same, other = (load(split="validation", split_seed=seed) for seed in (0, 0, 1))
    for of in ("glyphs", "recordings"):
        assert rows(one, of) == rows(same, of) != rows(other, of)
    assert one.name == "built-in sample" and one.identity == same.identity != other.identity


def test_sample_voices_tell_their_digit(sample):
    """A voice's nearest neighbour in mean spectrum over four quarters says the same digit nearly always."""
    test = load(split="test")

    def features(source):
        rows, window = [], torch.hann_window(256)
        for voice, length in zip(source.recordings, source.lengths.tolist(), strict=True):
            power = torch.stft(voice[:length], 256, 128, window=window, return_complex=True).abs()
            bands = torch.nn.functional.adaptive_avg_pool2d(power[None], (24, 4))[0]
            rows.append((bands + 1e-2).log().flatten())
        return torch.stack(rows)

    nearest = torch.cdist(features(test), features(sample)).argmin(1)
    assert (sample.spoken[nearest] == test.spoken).float().mean() > 0.95


def test_unknown_split_is_refused():
    with pytest.raises(ValueError, match="expected a split of"):
        load(split="dev")


def test_a_source_is_told_from_another_of_the_same_name(sample):
    fewer = replace(sample, digits=sample.digits[:-1], glyphs=sample.glyphs[:-1])
    assert sample.identity == replace(sample).identity != fewer.identity
    assert fewer.identity.startswith(sample.name)


@pytest.mark.parametrize("label", [3.5, True, None, "three", [1, 2], -1, 10])
@pytest.mark.parametrize("name", ["mnist", "fsdd"])
def test_labels_are_whole_numbers_from_zero_to_nine(tmp_path, name, label):
    write_glyphs(tmp_path, GLYPH)
    write_voices(tmp_path, WAVE, speaker=["theo", "george"])
    rows = {"image": [png(GLYPH)] * 2} if name == "mnist" else {"audio": [wav(WAVE)] * 2, "speaker": ["a", "b"]}
    labels = [None, 3] if label is None else [label] * 2
    Dataset.from_dict(rows | {"label": labels}).to_parquet(tmp_path / f"{name}-train.parquet")
    with pytest.raises(ValueError, match=r"row 0: expected a whole number as label, 0 … 9, got ") as caught:
        load(tmp_path)
    assert f"{name}-train.parquet" in str(caught.value) and str(caught.value).endswith(repr(label))


@pytest.mark.parametrize("speakers", [["theo", None], [3, 4], [["theo"], ["george"]]])
def test_speakers_are_strings(tmp_path, speakers):
    write_glyphs(tmp_path, GLYPH)
    write_voices(tmp_path, WAVE, speaker=speakers)
    with pytest.raises(ValueError, match=r"fsdd-train.parquet.*row \d: expected a string as speaker, got"):
        load(tmp_path)


def voices_of(cell):
    return lambda folder: Dataset.from_dict({"audio": [cell], "label": [3]}).to_parquet(folder / "fsdd-train.parquet")


def glyphs_of(cell):
    return lambda folder: Dataset.from_dict({"image": [cell], "label": [3]}).to_parquet(folder / "mnist-train.parquet")


BROKEN = {
    "no image": (glyphs_of({"bytes": None, "path": "/etc/hostname"}), "mnist-train.parquet.*a row without bytes"),
    "bmp": (glyphs_of(png(GLYPH, "BMP")), "mnist-train.parquet.*cannot identify image file"),
    "colours": (glyphs_of(png(np.zeros((28, 28, 3), np.uint8))), "28x28 in mode RGB, not 28x28 grey"),
    "no voice": (voices_of({"bytes": None, "path": "3_theo_7.wav"}), "fsdd-train.parquet.*a row without bytes"),
    "silence": (voices_of(wav(np.zeros(900))), "fsdd-train.parquet.*got silence"),
    "stereo": (voices_of(wav(np.ones((900, 2)))), "fsdd-train.parquet.*2 channels, 900 samples, not 1 channel"),
    "minutes": (voices_of(wav(np.ones(8000 * 61))), "fsdd-train.parquet.*488,000 samples, not .* at most 60 s"),
    "noise": (voices_of({"bytes": b"noise", "path": None}), "fsdd-train.parquet.*Error opening: Format not recog"),
    "aiff": (voices_of(wav(WAVE, format="AIFF")), "fsdd-train.parquet.*a recording in AIFF"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_rows_that_cannot_be_used_are_refused_in_one_line(tmp_path, name):
    write_glyphs(tmp_path, GLYPH)
    write_voices(tmp_path, WAVE)
    make, message = BROKEN[name]
    make(tmp_path)
    with pytest.raises(ValueError, match=message) as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value) and " object at 0x" not in str(caught.value)


def test_what_the_library_says_in_several_lines_is_said_in_one(tmp_path, monkeypatch):
    def fail(path):
        raise RuntimeError("no such\n  column")

    monkeypatch.setattr(sources, "read_parquet", fail)
    write_glyphs(tmp_path, GLYPH)
    with pytest.raises(ValueError, match="mnist-train.parquet to be .*, got: no such column$"):
        load(tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="the program that stands in for gs is a shell script")
def test_no_row_runs_a_program(tmp_path, monkeypatch):
    (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch {tmp_path}/called\n", encoding="utf-8")
    (tmp_path / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None, raising=False)
    glyphs_of({"bytes": POSTSCRIPT, "path": None})(tmp_path)
    write_voices(tmp_path, WAVE)
    with pytest.raises(ValueError, match="cannot identify image file"):
        load(tmp_path)
    assert not (tmp_path / "called").exists()
