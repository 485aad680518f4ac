"""Recordings: of any rate and number of channels, with the faults that recordings have."""

import struct

import numpy as np
import pytest
import soundfile
import torch
import torchaudio

from codi_minimal import media
from codi_minimal.fitting import fit_audio
from tests.media.making import voice


def start_of(audio):
    """The first of the world's samples that is louder than its silence."""
    return int((audio.abs() > 0.02).float().argmax())


def agreement(a, b):
    return float(torch.corrcoef(torch.stack([a, b]))[0, 1])


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (44100, 2), (22050, 1), (44101, 1)])
def test_a_recording_of_any_rate_starts_at_onset_two_with_peak_four_fifths(tmp_path, rate, channels):
    wave = voice(rate)[:, None].repeat(1, channels)
    soundfile.write(tmp_path / "a.flac", wave.numpy(), rate)
    audio = media.read_audio(tmp_path / "a.flac")
    assert audio.shape == (8192,)
    assert audio[:1990].abs().max() < 0.012  # the world's silence
    assert audio[2000 : 2000 + 256].abs().max() > 0.7
    assert audio.abs().max() == pytest.approx(0.8, abs=0.02)
    spectrum = torch.fft.rfft(audio[2200:5400]).abs()
    assert spectrum.argmax() * 8000 / 3200 == pytest.approx(440, abs=4)


def test_a_long_recording_starts_earlier_and_fills_the_rest():
    audio = fit_audio(voice(8000, seconds=3), 8000)
    assert audio[:990].abs().max() < 0.012 and audio[1000:1200].abs().max() > 0.7
    assert audio[-200:].abs().max() > 0.7


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
@pytest.mark.parametrize(("onset", "seconds"), [(1, 1.0), (4, 1.0), (4, 1.024), (3, 1.1)])
def test_a_recording_of_about_a_second_keeps_its_clock(tmp_path, rate, onset, seconds):
    lead = onset * 1000 / 8000
    wave = voice(rate, seconds=seconds - lead, lead=lead)
    soundfile.write(tmp_path / "a.wav", wave.numpy(), rate)
    audio = media.read_audio(tmp_path / "a.wav")
    assert abs(start_of(audio) - 1000 * onset) <= 128
    assert audio.abs().max() == pytest.approx(0.8 if rate * seconds != 8192 else 0.3, abs=0.02)


def test_what_comes_after_the_world_s_second_changes_nothing():
    wave = voice(16000, seconds=0.3, lead=0.375, after=0.4)
    loud = wave.clone()
    loud[int(1.03 * 16000) :] = 1 - 2 * torch.rand(len(wave) - int(1.03 * 16000))
    assert (fit_audio(loud, 16000) - fit_audio(wave, 16000))[:7900].abs().max() < 0.01


@pytest.mark.parametrize("seconds", [0.9, 1.2])
def test_a_shorter_or_longer_recording_is_framed(seconds):
    audio = fit_audio(voice(16000, seconds=0.3, lead=0.5, after=seconds - 0.8), 16000)
    assert abs(start_of(audio) - 2000) <= 128


@pytest.mark.parametrize("rate", [8000, 44100])
def test_a_constant_offset_is_no_sound(rate):
    clean, wave = (voice(rate, after=after) for after in (0.7, 0.7))
    noise = 1e-3 * torch.randn(len(wave), generator=torch.Generator().manual_seed(0))
    audio = fit_audio(0.5 * wave + noise + 0.3, rate)
    assert agreement(audio, fit_audio(clean, rate)) > 0.99
    with pytest.raises(ValueError, match="got silence"):
        fit_audio(torch.full((rate,), 0.3), rate)
    with pytest.raises(ValueError, match="got silence"):
        fit_audio(torch.full((8192,), 0.3), 8000)


def test_the_world_s_own_length_loses_an_offset_and_keeps_its_clock():
    clean = torch.nn.functional.pad(voice(8000, lead=0.375), (0, 1192))
    audio = fit_audio(clean + 0.3, 8000)
    assert agreement(audio, clean) > 0.99 and abs(start_of(audio) - 3000) <= 128


def test_channels_are_averaged_and_the_loudest_is_taken_where_they_cancel(tmp_path):
    wave = voice(16000, seconds=0.4)
    other = torch.randn(len(wave), generator=torch.Generator().manual_seed(0)) * 0.01
    for channels, expected in (
        ((wave, -wave), wave),
        ((0.9 * wave, -wave, torch.full_like(wave, 0.5)), -wave),
        ((wave, other), (wave + other) / 2),
        ((wave, 0 * wave, 0 * wave, 0 * wave), wave),
    ):
        soundfile.write(tmp_path / "a.wav", torch.stack(channels, 1).numpy(), 16000, subtype="FLOAT")
        assert (media.read_audio(tmp_path / "a.wav") - fit_audio(expected, 16000)).abs().max() < 1e-3


@pytest.mark.parametrize("rate", [8000, 44100])
@pytest.mark.parametrize("at", [0.05, 0.0792, 0.15])  # within a window of 16 ms, across two, later
def test_a_click_before_the_voice_is_not_its_start(rate, at):
    noise = 1e-3 * torch.randn(int(1.3 * rate), generator=torch.Generator().manual_seed(0))
    clean = noise + voice(rate, seconds=0.4, lead=0.5, after=0.4)
    clicked = clean.clone()
    clicked[int(at * rate) :][: int(0.0025 * rate)] += 0.9
    assert agreement(fit_audio(clicked, rate), fit_audio(clean, rate)) > 0.99
    kept = fit_audio(clicked[: int(1.05 * rate)], rate)
    assert abs(start_of(kept) - 4000) <= 128


def test_a_plosive_before_its_vowel_is_the_start():
    """The t of "two": 20 ms of noise, 60 ms of near silence, then the vowel."""
    burst = 0.3 * torch.randn(160, generator=torch.Generator().manual_seed(0))
    wave = torch.cat([torch.zeros(2400), burst, torch.zeros(480), voice(8000, lead=0)])
    assert abs(start_of(fit_audio(wave, 8000)) - 2000) <= 128
    assert fit_audio(wave, 8000)[2560 - 128 : 2640].abs().max() < 0.05  # the gap, and then the vowel
    assert fit_audio(wave, 8000)[2700:2800].abs().max() > 0.2


@pytest.mark.parametrize("sizes", [{4: 0, 40: 0}, {40: 0}, {4: 36, 40: 0}, {4: 2**32 - 1, 40: 2**32 - 1}])
def test_a_recording_whose_recorder_was_killed_is_read_as_far_as_it_goes(tmp_path, sizes):
    soundfile.write(tmp_path / "whole.wav", voice(16000).numpy(), 16000)
    data = bytearray((tmp_path / "whole.wav").read_bytes())
    for at, size in sizes.items():
        data[at : at + 4] = struct.pack("<I", size)
    (tmp_path / "killed.wav").write_bytes(data)
    note = struct.pack("<4sI", b"LIST", 5) + b"note!\0"  # chunks of odd length are padded
    (tmp_path / "noted.wav").write_bytes(data[:12] + note + data[12:])
    whole = media.read_audio(tmp_path / "whole.wav")
    for name in ("killed.wav", "noted.wav"):
        assert torch.equal(media.read_audio(tmp_path / name), whole)


@pytest.mark.parametrize("endian", ["LITTLE", "BIG"])
def test_an_empty_wav_with_notes_is_empty(tmp_path, endian):
    """A chunk after the samples is no sound, and noise that follows a killed recorder's header is no chunk."""
    soundfile.write(tmp_path / "a.wav", voice(8000).numpy(), 8000, endian=endian)
    data = (tmp_path / "a.wav").read_bytes()
    at = data.index(b"data") + 8
    note = struct.pack(("<" if endian == "LITTLE" else ">") + "4sI", b"LIST", 1000) + bytes(range(250)) * 4
    (tmp_path / "empty.wav").write_bytes(data[: at - 4] + bytes(4) + note)
    with pytest.raises(ValueError, match="it holds no sound"):
        media.read_audio(tmp_path / "empty.wav")
    (tmp_path / "killed.wav").write_bytes(data[: at - 4] + bytes(4) + data[at:])
    assert torch.equal(media.read_audio(tmp_path / "killed.wav"), media.read_audio(tmp_path / "a.wav"))


def test_a_flac_file_from_a_pipe_is_read_to_its_end(tmp_path):
    """Its header holds no count of samples: the last 36 bits before the checksum are zero."""
    soundfile.write(tmp_path / "a.flac", voice(16000).numpy(), 16000)
    data = bytearray((tmp_path / "a.flac").read_bytes())
    data[21], data[22:26] = data[21] & 0xF0, bytes(4)
    (tmp_path / "piped.flac").write_bytes(data)
    assert soundfile.info(tmp_path / "piped.flac").frames > 2**60
    assert torch.equal(media.read_audio(tmp_path / "piped.flac"), media.read_audio(tmp_path / "a.flac"))


def test_a_recording_is_resampled_and_not_bent(tmp_path):
    """The world's own audio at four times its rate comes back as it was, where there is a voice."""
    wave = 0.8 * torch.sin(torch.arange(8192) / 5) * (torch.arange(8192) >= 4000)
    soundfile.write(tmp_path / "a.wav", torchaudio.functional.resample(wave, 8000, 32000).numpy(), 32000)
    audio = media.read_audio(tmp_path / "a.wav")
    np.testing.assert_allclose(audio[4200:8000], wave[4200:8000], atol=0.05)
