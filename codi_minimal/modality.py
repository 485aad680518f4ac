"""A modality is a record of its networks, one from each package of the core. CoDi is a loop over such records."""

import zlib
from collections.abc import Sequence
from dataclasses import asdict

import torch
from torch import Tensor, nn

from codi_minimal.alignment import EnvironmentEncoder, add_environment
from codi_minimal.autoencoders.audio import AudioVAE
from codi_minimal.autoencoders.image import ImageVAE
from codi_minimal.autoencoders.mel import LogMel
from codi_minimal.autoencoders.text import TextVAE
from codi_minimal.autoencoders.video import VideoAutoencoder
from codi_minimal.autoencoders.vocoder import GriffinLim, Vocoder
from codi_minimal.config import ModelConfig, UNetConfig
from codi_minimal.denoisers import UNet, VideoUNet
from codi_minimal.inputs import TensorData, TextData
from codi_minimal.prompts import AudioPromptEncoder, ImagePromptEncoder, TextPromptEncoder, VideoPromptEncoder
from codi_minimal.tokenizer import WordTokenizer, spell_articles


class Modality(nn.Module):
    """One modality m of CoDi.

    Args:
        data: how its data are checked and batched (`inputs`).
        autoencoder: (E_m, D_m), with `encode`, `decode`, `latent_shape`.
        prompt: C_m, data → (b, d) of unit norm.
        denoiser: ε_m(z_t, t, C, env) → (b, *latent_shape).
        environment: V_m(z_t, t) → tokens (b, n, d_env).
        costly: a sample takes many times as long as another modality's, so that fewer are cached (`video_cache`), and
            a joint step sees a share of them (`clip_share`).
    """

    def __init__(
        self,
        data: TensorData | TextData,
        autoencoder: nn.Module,
        prompt: nn.Module,
        denoiser: nn.Module,
        environment: EnvironmentEncoder,
        costly: bool = False,
    ):
        super().__init__()
        self.name = data.name
        self.data = data
        self.latent_shape: tuple[int, ...] = autoencoder.latent_shape
        self.autoencoder = autoencoder
        self.prompt = prompt
        self.denoiser = denoiser
        self.environment = environment
        self.costly = costly
        add_environment(denoiser, environment.d_env, clock=environment.clock > 0)

    def encode(self, data) -> Tensor:
        """z_0 (b, *latent_shape) of a batch."""
        return self.autoencoder.encode(data)

    def noise(self, b: int, generator: torch.Generator) -> Tensor:
        """ε (b, *latent_shape), drawn on the CPU: the same on every device."""
        return torch.randn(b, *self.latent_shape, generator=generator, dtype=torch.float32)

    def generators(self, seeds: Sequence[int], use: str = "") -> list[torch.Generator]:
        """One for each sample and use. The name is part of it: one output more leaves the noise of the others alone."""
        code = zlib.crc32(f"{self.name} {use}".strip().encode())
        return [torch.Generator().manual_seed((seed * 1_000_003 + code) % 2**63) for seed in seeds]

    def initial_noise(self, seeds: Sequence[int]) -> Tensor:
        """z_T (b, *latent_shape) of samples with these seeds."""
        return torch.cat([self.noise(1, generator) for generator in self.generators(seeds)])


def build_modalities(c: ModelConfig, vocabulary: Sequence[str]) -> dict[str, Modality]:
    """The modalities of a config, untrained. ValueError: text is none of them, or there is video without image."""
    if "text" not in c.modalities or ("video" in c.modalities and "image" not in c.modalities):
        expected = "text, to which all others are aligned, and image beside video, which share an autoencoder"
        raise ValueError(f"modalities: expected {expected}; got {', '.join(c.modalities)}")
    tokenizer = WordTokenizer(vocabulary, c.max_words, spell_articles if c.fit == "digits" else str)
    image_vae = ImageVAE(c.size, c.image_latent, c.image_widths)
    clip_vae = VideoAutoencoder(image_vae, c.frames)
    vocoders = {"griffin-lim": GriffinLim, "network": lambda: Vocoder(c.vocoder_width, c.vocoder_layers)}
    audio_vae = AudioVAE(LogMel(), vocoders[c.vocoder](), (64, 64), c.audio_latent, c.audio_widths)
    text_vae = TextVAE(tokenizer, c.text_width, latent=c.text_latent)

    def environment(shape: Sequence[int], patches: str, sizes: dict[str, int], clock: int = 0) -> EnvironmentEncoder:
        return EnvironmentEncoder(shape, patches, sizes, clock, c.d_env, c.env_width, c.env_layers, summary=c.summary)

    def unet(kind: type[UNet], shape: Sequence[int], sizes: UNetConfig) -> UNet:
        return kind(shape, d=c.d, **asdict(sizes))

    modalities = [
        Modality(
            TextData("text"),
            text_vae,
            TextPromptEncoder(tokenizer, c.d, c.text_prompt_width),
            unet(UNet, text_vae.latent_shape, c.text_unet),
            environment(text_vae.latent_shape, "b e l -> b 1 l e", {}),
        ),
        Modality(
            TensorData("image", (3, c.size, c.size), 0.0, 1.0),
            image_vae,
            ImagePromptEncoder(c.d, c.prompt_width),
            unet(UNet, image_vae.latent_shape, c.image_unet),
            environment(image_vae.latent_shape, "b e (h p) (w q) -> b 1 (h w) (e p q)", {"p": 2, "q": 2}),
        ),
        Modality(
            TensorData("audio", (c.samples,), -1.0, 1.0),
            audio_vae,
            AudioPromptEncoder(c.d, c.prompt_width),
            unet(UNet, audio_vae.latent_shape, c.audio_unet),
            environment(audio_vae.latent_shape, "b e (m p) n -> b n m (e p)", {"p": 4}, clock=c.frames),
        ),
        Modality(
            TensorData("video", (c.frames, 3, c.size, c.size), 0.0, 1.0),
            clip_vae,
            VideoPromptEncoder(c.d, c.prompt_width, c.frames),
            unet(VideoUNet, clip_vae.latent_shape, c.image_unet),
            environment(
                clip_vae.latent_shape, "(b f) e (h p) (w q) -> b f (h w) (e p q)", {"p": 4, "q": 4}, clock=c.frames
            ),
            costly=True,
        ),
    ]
    return {m.name: m for m in modalities if m.name in c.modalities}
