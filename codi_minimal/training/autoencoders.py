"""Stage 1: each autoencoder by itself, and the vocoder. They see one modality at a time, and no pairs."""

from functools import partial

import torch
from einops import rearrange
from torch import Tensor

from codi_minimal.autoencoders.vocoder import vocoder_loss
from codi_minimal.data import unpaired
from codi_minimal.training.run import Run, randn


def draw(run: Run, name: str, n: int, generator: torch.Generator):
    """n samples of a modality; tensors are on the run's device."""
    x = unpaired(run.source, name, n, generator)
    return x.to(run.device) if isinstance(x, Tensor) else x


def draw_stills(run: Run, n: int, generator: torch.Generator) -> Tensor:
    """Images, and about as many frames of videos: the image VAE encodes both."""
    frames = rearrange(draw(run, "video", max(1, n // 16), generator), "b f c h w -> (b f) c h w")
    return torch.cat([draw(run, "image", max(1, n - len(frames)), generator), frames])


def train_autoencoder(run: Run, name: str, draw_batch=None) -> None:
    """Trains (E_m, D_m) of one modality on its −ELBO, then measures the scale of its latents."""
    stage, ae = f"autoencoder-{name}", run.model.modalities[name].autoencoder
    draw_batch = draw_batch or partial(draw, name=name)

    def step(i: int, generator: torch.Generator) -> dict[str, Tensor]:
        x = draw_batch(run, n=run.stage(stage).batch, generator=generator)
        return ae.loss(x, randn((len(x), *ae.latent_shape), generator, run.device))

    run.fit(stage, ae, step, frozen=[m for n, m in ae.named_children() if n == "vocoder"])  # it has a stage of its own
    g = run.generator(stage)
    ae.scale_factor.fill_(1)
    with torch.no_grad():
        ae.fit_scale(torch.cat([ae.encode(draw_batch(run, n=128, generator=g)) for _ in range(4)]))


def train_vocoder(run: Run) -> None:
    """Trains the vocoder to invert mel spectrograms, those of recordings and those that the audio VAE decodes."""
    ae = run.model.modalities["audio"].autoencoder

    def step(i: int, generator: torch.Generator) -> dict[str, Tensor]:
        x = draw(run, "audio", run.stage("vocoder").batch, generator)
        with torch.no_grad():  # when sampling it gets the decoder's spectrograms, which are a little too smooth
            mel = ae.decode_mel(ae.encode(x)) if i % 2 else ae.mel(x)
        return vocoder_loss(x, ae.vocoder(mel))

    run.fit("vocoder", ae.vocoder, step)
