"""Stage 1: each autoencoder by itself, and the vocoder. They see one modality at a time, and no pairs."""

import math
from functools import partial

import torch
from einops import rearrange
from torch import Tensor

from codi_minimal.autoencoders.mel import LogMel
from codi_minimal.training.ranks import mean_of_all
from codi_minimal.training.run import Run, randn

RESOLUTIONS = (128, 256, 512)  # samples a window of the vocoder's loss: 16, 32 and 64 ms


def draw(run: Run, name: str, n: int, generator: torch.Generator):
    """n samples of a modality; tensors are on the run's device."""
    x = run.corpus.unpaired(name, n, generator)
    return x.to(run.device) if isinstance(x, Tensor) else x


def draw_stills(run: Run, n: int, generator: torch.Generator) -> Tensor:
    """Images, and where there are videos, as many of their frames: the image VAE encodes both."""
    half, length = n // 2, run.config.model.frames
    if "video" not in run.model.modalities or not half:
        return draw(run, "image", n, generator)
    frames = rearrange(draw(run, "video", math.ceil(half / length), generator), "b f c h w -> (b f) c h w")
    some = torch.linspace(0, len(frames) - 1, half).round().long()  # evenly from all clips
    return torch.cat([draw(run, "image", n - half, generator), frames[some]])


def train_autoencoder(run: Run, name: str, draw_batch=None) -> None:
    """Trains (E_m, D_m) of one modality on its −ELBO, then measures the scale of its latents."""
    stage, ae = f"autoencoder-{name}", run.model.modalities[name].autoencoder
    draw_batch = draw_batch or partial(draw, name=name)

    def step(i: int, generator: torch.Generator) -> dict[str, Tensor]:
        x = draw_batch(run, n=run.batch(stage), generator=generator)
        losses = ae.loss(x, randn((len(x), *ae.latent_shape), generator, run.device))
        return {name: mean_of_all(value, run.stage(stage).batch) for name, value in losses.items()}

    run.fit(stage, ae, step, frozen=[m for n, m in ae.named_children() if n == "vocoder"])  # it has a stage of its own
    g = run.generator(stage)
    ae.scale_factor.fill_(1)
    with torch.no_grad():
        ae.fit_scale(torch.cat([ae.encode(draw_batch(run, n=128, generator=g)) for _ in range(4)]))


def stft_distance(x: Tensor, x_hat: Tensor) -> Tensor:
    """Multi-resolution STFT distance of waveforms "b s", a scalar; 0 if and only if all magnitudes agree.

    Mean over resolutions of ‖S − Ŝ‖_F / ‖S‖_F + mean |log S − log Ŝ| (Yamamoto et al. 2020, Parallel WaveGAN, sect.
    2.2). S is at least 0.05 before the logarithm: the world's silence, noise of σ = 0.002, lies below, and need not
    be matched bin by bin.
    """
    total = x.new_zeros(())
    for n_fft in RESOLUTIONS:
        window = torch.hann_window(n_fft, device=x.device)
        stft = partial(torch.stft, n_fft=n_fft, hop_length=n_fft // 4, window=window, return_complex=True)
        true, fake = stft(x).abs(), stft(x_hat).abs()  # b k n
        convergence = torch.linalg.norm(true - fake) / torch.linalg.norm(true).clamp_min(1e-8)
        log_magnitude = (true.clamp_min(0.05).log() - fake.clamp_min(0.05).log()).abs().mean()
        total = total + convergence + log_magnitude
    return total / len(RESOLUTIONS)


def vocoder_loss(x: Tensor, x_hat: Tensor) -> dict[str, Tensor]:
    """2 |LogMel(x) - LogMel(x_hat)|_1 + the STFT distance, of waveforms x and the vocoder's x_hat, "b s".

    ValueError if the shapes differ.
    """
    if x.shape != x_hat.shape:
        raise ValueError(f"expected two waveforms of one shape, got {tuple(x.shape)} and {tuple(x_hat.shape)}")
    mel = LogMel().to(x.device)
    mel_error, stft_error = (mel(x) - mel(x_hat)).abs().mean(), stft_distance(x, x_hat)
    return {"loss": 2 * mel_error + stft_error, "mel": mel_error, "stft": stft_error}


def train_vocoder(run: Run) -> None:
    """Trains the vocoder to invert mel spectrograms, those of recordings and those that the audio VAE decodes."""
    ae = run.model.modalities["audio"].autoencoder

    def step(i: int, generator: torch.Generator) -> dict[str, Tensor]:
        x = draw(run, "audio", run.batch("vocoder"), generator)
        with torch.no_grad():  # when sampling it gets the decoder's spectrograms, which are a little too smooth
            mel = ae.decode_mel(ae.encode(x)) if i % 2 else ae.mel(x)
        losses = vocoder_loss(x, ae.vocoder(mel))
        return {name: mean_of_all(value, run.stage("vocoder").batch) for name, value in losses.items()}

    run.fit("vocoder", ae.vocoder, step)
