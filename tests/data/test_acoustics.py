"""Recordings that are played faster, in a room, or with noise."""

import pytest
import torch

from codi_minimal.data.acoustics import in_a_room, resampled, with_noise
from tests.waves import RATE, generator, tone


def pitch(wave):
    return torch.fft.rfft(wave).abs().argmax(-1) * RATE / wave.shape[-1]


def test_a_wave_that_is_played_faster_is_higher_shorter_and_earlier():
    ratio = torch.tensor([0.8, 1.0, 1.25])
    wave = resampled(tone(3), ratio)
    assert torch.allclose(pitch(wave), 400 * ratio, atol=4)
    loud = wave.abs() > 0.05
    assert torch.allclose(loud.float().argmax(1).float(), 1000 / ratio, atol=20)
    lasts = loud.flip(1).float().argmax(1)
    assert torch.allclose((8192 - lasts).float(), (4000 / ratio), atol=20)
    assert torch.equal(resampled(tone(1), torch.ones(1)), tone(1))


@pytest.mark.parametrize("seconds", [0.2, 0.4])
def test_reverberation_decays_by_60_dB_in_its_time(seconds):
    click = torch.zeros(300, 8192)
    click[:, 1000] = 1
    wet = in_a_room(click, torch.full((300,), seconds), torch.zeros(300), generator())
    assert torch.allclose(wet[:, 1000], torch.ones(300), atol=1e-4) and wet[:, :1000].abs().max() < 1e-4
    level = wet[:, 1001:].square().mean(0)
    early, late = (level[i : i + 80].mean() for i in (100, 100 + int(seconds * RATE / 2)))
    assert 10 * torch.log10(early / late) == pytest.approx(30, abs=1.5)


@pytest.mark.parametrize("decibels", [0.0, 12.0])
def test_reverberation_is_so_much_weaker_than_the_direct_sound(decibels):
    click = torch.zeros(50, 8192)
    click[:, 1000] = 1
    wet = in_a_room(click, torch.full((50,), 0.3), torch.full((50,), decibels), generator())
    assert torch.allclose(10 * wet[:, 1001:].square().sum(1).log10(), torch.tensor(-decibels), atol=0.1)


@pytest.mark.parametrize("length", [600, 6000])
@pytest.mark.parametrize("decibels", [3.0, 20.0])
def test_noise_is_so_much_weaker_than_the_voice_however_long_it_is(length, decibels):
    voices = tone(4, length=length)
    added = with_noise(voices, torch.randn(4, 8192, generator=generator()), torch.full((4,), decibels)) - voices
    loud = voices.square().sum(1) / length
    assert torch.allclose(10 * (loud / added.square().mean(1)).log10(), torch.tensor(decibels), atol=0.7)
