"""Voices of espeak-ng, where it is installed."""

import random

import pytest
import torch

from codi_minimal.data import DIGITS, Pairs, espeak, load

needs_espeak = pytest.mark.skipif(not espeak.installed(), reason="espeak-ng is not installed")


@needs_espeak
def test_every_digit_is_spoken_by_every_variant(monkeypatch):
    monkeypatch.setattr(espeak, "variants", lambda: ["m2", "Mr serious"])
    waves, spoken = espeak.synthetic_voices(takes=2)
    assert sorted(spoken) == sorted([*range(10)] * 4) and len(waves) == 40
    for wave in waves:
        assert 1000 < len(wave) <= 8192 and wave.dtype == torch.float32
        assert wave.abs().max() == pytest.approx(0.8, abs=1e-4) and wave[:128].abs().max() > 0.005
    again, _ = espeak.synthetic_voices(takes=2)
    assert all(torch.equal(a, b) for a, b in zip(waves, again, strict=True))
    other, _ = espeak.synthetic_voices(takes=2, seed=1)
    assert not all(a.equal(b) for a, b in zip(waves, other, strict=True))


@needs_espeak
def test_variants_that_are_held_out_are_never_spoken():
    found = espeak.variants()
    assert len(found) > 50 and not set(found) & set(espeak.HELD_OUT_VARIANTS)
    assert all(espeak.speak("one", f"en-us+{variant}")[0].any() for variant in random.Random(0).sample(found, 5))


@needs_espeak
def test_pitch_and_pace_are_heard():
    slow, fast = (len(espeak.speak("seven", "en-us", pace=pace)[0]) for pace in (110, 220))
    assert slow > 1.3 * fast
    low, high = (espeak.speak("seven", "en-us", pitch=pitch)[0] for pitch in (10, 90))
    assert not torch.equal(low, high)


def test_without_the_program_there_are_none_and_it_says_so(monkeypatch, caplog, data_dir):
    monkeypatch.setenv("PATH", "")
    assert not espeak.installed() and espeak.synthetic_voices() == ([], [])
    assert "espeak-ng is not installed" in caplog.text
    pairs = Pairs(load(data_dir), ("text", "audio"))
    before = pairs.recordings
    pairs.add_voices([], [])
    assert torch.equal(pairs.recordings, before) and len(pairs.draw(4, torch.Generator().manual_seed(0))) == 4


def test_further_voices_are_drawn_beside_those_of_the_share(data_dir):
    source = load(data_dir)
    pairs, alone = (Pairs(source, ("text", "audio")) for _ in range(2))
    waves = [torch.full((300 + 10 * digit,), (digit + 1) / 20) for digit in range(10)] * len(alone.recordings)
    pairs.add_voices(waves, [*range(10)] * len(alone.recordings))
    assert torch.equal(pairs.recordings[: len(alone.recordings)], alone.recordings)
    drawn = pairs.draw(400, torch.Generator().manual_seed(0))
    audio = drawn.render("audio", generator=torch.Generator().manual_seed(1))
    middle = audio.abs().max(1).values
    synthetic = (drawn._scene.recording >= len(source.spoken)).nonzero()[:, 0]
    assert 0.8 < len(synthetic) / 400 < 1.0  # ten times as many
    for i in synthetic[:50].tolist():
        assert middle[i] == pytest.approx((int(drawn._scene.digit[i]) + 1) / 20, abs=0.01)
    said = drawn.captions(random.Random(0))
    assert sum(DIGITS[d] in text for d, text in zip(drawn._scene.digit.tolist(), said, strict=True)) > 300
    assert len(source.spoken) == len(load(data_dir).spoken)  # the source is as it was
