"""Recordings as other voices would sound in other rooms."""

import pytest
import torch

from codi_minimal.ours.other_voices import OtherVoices, clipped, microphone, noise, room
from tests.waves import generator, tone


def test_a_room_adds_an_echo_after_the_voice_and_none_before_it():
    wet = room(tone(8), generator())
    assert wet[:, :990].abs().max() < 1e-3
    after = wet[:, 4100:5500].square().mean(1).sqrt()
    assert (after > 1e-3).all() and after.max() > 4 * after.min()
    assert wet[:, 7900:].square().mean(1).sqrt().max() < after.max()


def test_noise_is_3_to_40_dB_weaker_than_the_voice():
    voices = tone(200, length=1800)
    added = noise(voices, generator()) - voices
    loud = voices.square().sum(1) / 1800
    snr = 10 * torch.log10(loud / added.square().mean(1))
    assert 1 < snr.min() < 6 and 36 < snr.max() < 43


def test_a_microphone_changes_the_balance_of_frequencies():
    x = sum(tone(64, hz) for hz in (100.0, 800.0, 3600.0))
    gains = (torch.fft.rfft(microphone(x, generator())).abs() / torch.fft.rfft(x).abs())[:, [102, 819, 3686]]
    spread = 20 * gains.log10()
    assert (spread.std(0) > 1).all() and (spread[:, 1].abs() < 12).all()
    assert spread[:, 2].min() < -4 and spread[:, 0].min() < -4


def test_clipping_is_at_a_fifth_of_the_peak_or_higher():
    peaks = clipped(tone(100), generator()).abs().amax(1) / 0.5
    assert 0.19 < peaks.min() < 0.3 and 0.9 < peaks.max() <= 1.0


def test_a_share_of_the_recordings_is_changed_and_stays_in_range():
    waves = torch.randn(200, 8192, generator=generator()).clamp(-1, 1) * tone(200).sign().abs()
    changed = OtherVoices(share=0.6).recorded(waves, generator())
    assert changed.shape == waves.shape and changed.abs().max() <= 1 and changed.isfinite().all()
    same = (changed == waves).all(1).float().mean()
    assert 0.25 < same < 0.55
    assert torch.equal(OtherVoices(share=0.0).recorded(waves, generator()), waves)
    assert torch.equal(changed, OtherVoices(share=0.6).recorded(waves, generator()))
    assert OtherVoices(share=1.0).recorded(torch.zeros(2, 8192), generator()).isfinite().all()


def test_only_recordings_are_changed():
    assert list(OtherVoices().augmentations()) == ["audio"]


@pytest.mark.parametrize("how", [{"share": -0.1}, {"share": 1.1}, {"tempo": -1.0}, {"tempo": "fast"}])
def test_bad_settings_are_refused(how):
    with pytest.raises(ValueError, match=next(iter(how))):
        OtherVoices(**how)
