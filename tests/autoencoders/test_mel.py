import math
import warnings

import pytest
import torch
import torchaudio

from codi_minimal.autoencoders.mel import CENTRE, FLOOR, SPREAD, LogMel

MEL = LogMel()


def tone(hertz, amplitude=0.5):
    return amplitude * torch.sin(2 * math.pi * hertz * torch.arange(8192) / 8000)[None]


def chirp():  # by formula, so that any language can rebuild it
    s = torch.arange(8192, dtype=torch.float64)
    return (0.7 * torch.sin(1e-4 * s**2) * torch.sin(math.pi * s / 8192)).float()[None]


def test_parity_with_torchaudio():
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # torchaudio warns of empty filters
        theirs = torchaudio.transforms.MelSpectrogram(
            8000, 512, 256, 128, n_mels=64, power=1, norm="slaney", mel_scale="slaney"
        )
    expected = (theirs(chirp())[..., :-1].clamp_min(FLOOR).log10() - CENTRE) / SPREAD
    torch.testing.assert_close(MEL(chirp())[:, 0], expected)


def test_matches_the_formula_written_out():
    frame, band = 20, 30
    window = 0.5 - 0.5 * torch.cos(2 * math.pi * torch.arange(256, dtype=torch.float64) / 256)
    segment = chirp()[0, 128 * frame - 128 : 128 * frame + 128].double() * window
    k = torch.arange(257, dtype=torch.float64)
    angle = 2 * math.pi * k[:, None] * torch.arange(256, dtype=torch.float64) / 512
    magnitude = torch.hypot((segment * angle.cos()).sum(1), (segment * angle.sin()).sum(1))

    # Slaney: 200/3 Hz a mel below 1 kHz, then 27 mels a factor of 6.4; triangles of unit area, 66 equal steps
    def hertz(mel):
        return mel * 200 / 3 if mel < 15 else 1000 * 6.4 ** ((mel - 15) / 27)

    top = 15 + 27 * math.log(4) / math.log(6.4)
    low, mid, high = (hertz(top * (band + i) / 65) for i in range(3))
    f = k * 8000 / 512
    triangle = torch.minimum((f - low) / (mid - low), (high - f) / (high - mid)).clamp_min(0)
    triangle = triangle * 2 / (high - low)
    expected = (math.log10(max(float((triangle * magnitude).sum()), 2e-3)) + 1.2) / 1.5
    assert MEL(chirp())[0, 0, band, frame].item() == pytest.approx(expected, abs=1e-4)


def test_every_band_hears_something():
    assert (MEL.filters > 0).sum(dim=1).min() >= 2


@pytest.mark.parametrize("hertz", [200, 700, 1500, 3500])
def test_a_tone_sits_in_the_band_of_its_frequency(hertz):
    centres = (MEL.filters * torch.linspace(0, 4000, 257)).sum(1) / MEL.filters.sum(1)
    band = MEL(tone(hertz))[0, 0, :, 32].argmax()
    assert band == (centres - hertz).abs().argmin()


def test_silence_is_the_bottom_and_a_loud_tone_near_the_top():
    silence = 0.002 * torch.randn(8, 8192, generator=torch.Generator().manual_seed(0))
    assert MEL(torch.zeros(1, 8192)).max().item() == pytest.approx(-1, abs=2e-3)
    assert MEL(silence).mean() < -0.99
    assert 0.8 < MEL(tone(400, 0.8)).max() < 1.2


@pytest.mark.parametrize("onset", [1, 2, 3, 4])
def test_a_sound_starts_in_the_column_of_its_onset(onset):
    waveform = tone(800)
    waveform[:, : 1000 * onset] = 0
    loud = MEL(waveform)[0, 0].amax(0) > 0.5
    assert abs(loud.float().argmax().item() - 1000 * onset / 128) <= 1


def test_shifting_by_a_hop_shifts_by_a_column():
    a, b = MEL(chirp()), MEL(chirp().roll(128, dims=1))
    torch.testing.assert_close(a[..., 4:-6], b[..., 5:-5], atol=1e-4, rtol=0)


def test_magnitude_undoes_the_normalisation():
    log_mel = MEL(chirp())
    spectrum = torch.stft(chirp(), 512, 128, 256, torch.hann_window(256), return_complex=True)
    mel = MEL.filters @ spectrum.abs()[..., :-1]
    loud = mel > 0.1
    torch.testing.assert_close(LogMel.magnitude(log_mel)[loud], mel[loud] - FLOOR, rtol=1e-3, atol=1e-4)
    assert LogMel.magnitude(MEL(torch.zeros(1, 8192))).max() < 1e-6


def test_constants_stay_out_of_the_checkpoint():
    assert not LogMel().state_dict()


def test_it_hears_in_full_precision_under_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        heard = MEL(chirp())
    assert torch.equal(heard, MEL(chirp()))


def test_gradients_pass():
    x = chirp().requires_grad_()
    MEL(x).sum().backward()
    assert x.grad.abs().sum() > 0


@pytest.mark.parametrize("shape", [(8192,), (1, 8000), (1, 1, 8192)])
def test_wrong_shapes_are_refused(shape):
    with pytest.raises(ValueError, match=r"expected a waveform of shape \(b, 8192\), got"):
        MEL(torch.zeros(shape))


def test_magnitude_refuses_wrong_shapes():
    with pytest.raises(ValueError, match=r"expected a log-mel of shape \(b, 1, 64, 64\), got \(1, 64, 64\)"):
        LogMel.magnitude(torch.zeros(1, 64, 64))
