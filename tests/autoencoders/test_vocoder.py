import math

import pytest
import torch

from codi_minimal.autoencoders.mel import LogMel
from codi_minimal.autoencoders.vocoder import ConvNeXtBlock, GriffinLim, Vocoder
from codi_minimal.training.autoencoders import stft_distance, vocoder_loss

MEL = LogMel()


def voice(pitch=160.0):  # harmonics under a formant, in the middle of the second; by formula
    s = torch.arange(8192) / 8000
    hertz = pitch * torch.arange(1, 20)[:, None]
    tones = torch.exp(-((hertz - 700) ** 2) / 4e5) * torch.sin(2 * math.pi * hertz * s)
    return (0.15 * tones.sum(0) * torch.exp(-((s - 0.5) ** 2) / 0.02))[None]


@pytest.fixture(scope="module")
def griffin_lim():
    return GriffinLim(iterations=16)


def small():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Vocoder(width=48, blocks=1)


def test_griffin_lim_comes_back_to_the_mel_it_was_given(griffin_lim):
    log_mel = MEL(voice())
    error = (MEL(griffin_lim(log_mel)) - log_mel).abs().mean()
    silence = (MEL(torch.zeros(1, 8192)) - log_mel).abs().mean()
    assert error < 0.15 * silence


def test_more_iterations_come_closer():
    log_mel = MEL(voice())
    one, many = (stft_distance(voice(), GriffinLim(n)(log_mel)) for n in (1, 32))
    assert many < one


def test_griffin_lim_is_deterministic_and_keeps_samples_apart(griffin_lim):
    log_mel = MEL(torch.cat([voice(), voice(220)]))
    a, b = griffin_lim(log_mel), griffin_lim(log_mel)
    assert torch.equal(a, b)
    torch.testing.assert_close(griffin_lim(log_mel[1:]), a[1:], atol=1e-3, rtol=0)


def test_griffin_lim_leaves_silence_silent(griffin_lim):
    assert griffin_lim(MEL(torch.zeros(1, 8192))).abs().max() < 1e-4


def test_linear_spectrogram_is_non_negative_and_explains_the_mel(griffin_lim):
    mel = LogMel.magnitude(MEL(voice()))
    spectrum = griffin_lim.spectrogram(mel)
    assert spectrum.min() >= 0
    assert (griffin_lim.filters @ spectrum - mel).abs().sum() < 0.01 * mel.abs().sum()


def test_head_turns_one_bin_into_a_pure_tone():
    frame, bin_ = torch.arange(65), 32  # 32 * 8000 / 512 = 500 Hz
    log_magnitude = torch.full((1, 257, 65), -20.0)
    log_magnitude[:, bin_] = math.log(0.5 * 512 * 3 / 8)  # amplitude 0.5, for sum w / sum w^2 = 4/3
    phase = (2 * math.pi * bin_ * 128 / 512 * frame).expand(1, 257, 65)  # moves on by one hop a frame
    waveform = small().synthesise(log_magnitude, 3 * phase.cos(), 3 * phase.sin())  # of any length
    expected = 0.5 * torch.cos(2 * math.pi * 500 * torch.arange(8192) / 8000)
    torch.testing.assert_close(waveform[0, 512:-512], expected[512:-512], atol=2e-3, rtol=0)


def test_synthesis_undoes_analysis():
    spectrum = torch.stft(voice(), 512, 128, window=torch.hann_window(512), return_complex=True)
    waveform = small().synthesise(spectrum.abs().clamp_min(1e-8).log(), spectrum.real, spectrum.imag)
    torch.testing.assert_close(waveform, voice(), atol=1e-4, rtol=0)


def test_output_stays_in_range_whatever_the_head_says():
    clicks = (-1.0) ** torch.arange(257)[:, None].expand(1, 257, 65)  # one in the middle of every frame
    loud = small().synthesise(torch.full((1, 257, 65), 60.0), clicks, torch.zeros(1, 257, 65))
    assert torch.isfinite(loud).all() and loud.abs().max() == 1


@pytest.mark.parametrize("vocoder", [small(), GriffinLim(2)], ids=["network", "griffin-lim"])
def test_it_speaks_under_autocast(vocoder):
    mel = MEL(voice())
    with torch.autocast("cpu", torch.bfloat16):
        waveform = vocoder(mel.bfloat16())  # as the decoder of the VAE gives it
    assert waveform.dtype == torch.float32 and torch.isfinite(waveform).all()
    torch.testing.assert_close(waveform, vocoder(mel), rtol=0, atol=0.05)


def test_gradients_are_finite_where_the_head_says_nothing():
    zeros = [torch.zeros(1, 257, 65, requires_grad=True) for _ in range(3)]
    small().synthesise(*zeros).square().sum().backward()
    assert all(torch.isfinite(z.grad).all() for z in zeros)


def test_a_block_with_gamma_zero_is_the_identity():
    block, x = ConvNeXtBlock(8), torch.randn(2, 8, 20, generator=torch.Generator().manual_seed(0))
    assert not torch.equal(block(x), x)
    block.gamma.data.zero_()
    assert torch.equal(block(x), x)


def test_vocoder_is_local_in_time():
    model, log_mel = small().eval(), MEL(voice())
    changed = log_mel.clone()
    changed[..., 50:] = 0.5
    a, b = model(log_mel), model(changed)
    reach = (3 + 3 + 4) * 128  # two kernels of 7 frames, and half a window with a frame to spare
    torch.testing.assert_close(a[:, : 50 * 128 - reach], b[:, : 50 * 128 - reach])
    assert not torch.allclose(a[:, 50 * 128 :], b[:, 50 * 128 :])


def test_vocoder_learns_one_voice():
    x, model = voice(), small()
    log_mel = MEL(x)
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(60):
        optimiser.zero_grad()
        terms = vocoder_loss(x, model(log_mel))
        terms["loss"].backward()
        optimiser.step()
        losses.append(terms["loss"].item())
    assert losses[-1] < 0.4 * losses[0]
    assert losses[-1] < vocoder_loss(x, torch.zeros_like(x))["loss"]


def test_stft_distance_is_zero_for_equals_and_grows_with_the_error():
    x = voice()
    noise = torch.randn(1, 8192, generator=torch.Generator().manual_seed(0))
    distances = [stft_distance(x, x + sigma * noise).item() for sigma in (0, 0.01, 0.1)]
    assert distances[0] == 0 and distances[0] < distances[1] < distances[2]


def test_stft_distance_of_half_the_amplitude_by_hand():
    x = torch.randn(1, 8192, generator=torch.Generator().manual_seed(0))
    # magnitudes of unit noise are far above the clamp: convergence 1/2, log magnitude log 2
    assert stft_distance(x, x / 2).item() == pytest.approx(0.5 + math.log(2), abs=2e-2)


def test_stft_distance_ignores_phase_and_the_world_s_silence():
    x = voice()
    assert stft_distance(x, -x).item() == pytest.approx(0, abs=1e-5)
    silence = 0.001 * torch.randn(1, 8192, generator=torch.Generator().manual_seed(0))
    assert stft_distance(x, x + silence) < 0.05


def test_loss_is_the_weighted_sum_of_its_terms():
    x, x_hat = voice(), voice(200)
    terms = vocoder_loss(x, x_hat)
    mel = (MEL(x) - MEL(x_hat)).abs().mean()
    torch.testing.assert_close(terms["loss"], 2 * mel + stft_distance(x, x_hat))
    torch.testing.assert_close(terms["mel"], mel)


@pytest.mark.parametrize("vocoder", [small(), GriffinLim(1)], ids=["network", "griffin-lim"])
@pytest.mark.parametrize("shape", [(1, 64, 64), (1, 1, 80, 64), (1, 1, 64, 65)])
def test_wrong_shapes_are_refused(vocoder, shape):
    with pytest.raises(ValueError, match=r"expected a log-mel of shape \(b, 1, 64, 64\), got"):
        vocoder(torch.zeros(shape))


def test_loss_refuses_different_shapes():
    with pytest.raises(ValueError, match=r"one shape, got \(1, 8192\) and \(2, 8192\)"):
        vocoder_loss(torch.zeros(1, 8192), torch.zeros(2, 8192))
