"""Sources: the order in which they are tried, what they hold, and what is refused."""

import io
import logging
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch
from datasets import Dataset
from PIL import Image

from codi_minimal.data import load, sources, trim


@pytest.fixture(autouse=True)
def bare(monkeypatch):
    """No folder, and no network even where there is one."""
    monkeypatch.delenv("CODI_DATA", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def png(array):
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG")
    return {"bytes": file.getvalue(), "path": None}


def wav(wave, rate=8000):
    file = io.BytesIO()
    soundfile.write(file, wave, rate, format="WAV")
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
    assert (peaks > 0.799).float().mean() > 0.97  # but for the few whose peak lies past 8192 samples


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


def test_labels_past_nine_are_refused(tmp_path):
    Dataset.from_dict({"image": [png(GLYPH)], "label": [10]}).to_parquet(tmp_path / "mnist-train.parquet")
    write_voices(tmp_path, WAVE)
    with pytest.raises(ValueError, match="labels 0 … 9, got 10"):
        load(tmp_path)


def test_the_hub_is_tried_next_and_its_failure_told(monkeypatch, caplog, sample):
    monkeypatch.setattr(sources, "_from_sample", lambda split: sample)

    def unreachable(split):
        raise ConnectionError(split)

    monkeypatch.setattr(sources, "_from_hub", unreachable)
    with caplog.at_level(logging.WARNING, logger="codi_minimal"):
        assert load() is sample and not caplog.messages  # HF_HUB_OFFLINE: not even tried
        monkeypatch.delenv("HF_HUB_OFFLINE")
        assert load(hub=False) is sample and not caplog.messages
        assert load() is sample
    assert len(caplog.messages) == 1 and "ConnectionError" in caplog.messages[0]
    monkeypatch.setattr(sources, "_from_hub", lambda split: "from the hub")
    assert load() == "from the hub"


def test_sample_is_the_same_each_time_and_its_splits_are_disjoint(sample):
    again, test = load(), load(split="test")
    assert sample.name == test.name == "built-in sample"
    assert torch.equal(again.recordings, sample.recordings) and torch.equal(again.glyphs, sample.glyphs)
    for of in ("glyphs", "recordings"):
        rows = [{row.numpy().tobytes() for row in getattr(part, of)[:, :2000]} for part in (sample, test)]
        assert not rows[0] & rows[1]
    assert len(sample.glyphs) + len(test.glyphs) == 1797


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
        load(split="validation")


def test_a_source_is_told_from_another_of_the_same_name(sample):
    fewer = replace(sample, digits=sample.digits[:-1], glyphs=sample.glyphs[:-1])
    assert sample.identity == replace(sample).identity != fewer.identity
    assert fewer.identity.startswith(sample.name)
