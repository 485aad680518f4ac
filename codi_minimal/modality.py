"""A modality is a record: one piece from each room. All that CoDi does, it does by going through such records."""

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
        guidance, steps: how it is sampled where nothing else is asked for; `experiment sampling` measures both.
        guidance_beside: guidance where there is an environment, of other streams or of a prompt's clock, from the first
            step on, even while nothing in it can be heard yet: what is heard there is vaguer than C, and followed too
            seldom at a guidance that suffices for C. None: the same.
        guidance_start: guidance starts below this share of T, see `diffusion.guided`: guided from the first step,
            clips have too much ink and too few colours.
        costly: a sample takes many times as long as another modality's, so that fewer are cached (`video_cache`), and
            a joint step sees a share of them (`clip_share`).
        env_guidance: whether guidance amplifies what it hears of other streams along with the prompt, see
            `diffusion.guided`. Captions start first: what they hear is behind them, half noise, and leads them astray.
    """

    def __init__(
        self,
        data: TensorData | TextData,
        autoencoder: nn.Module,
        prompt: nn.Module,
        denoiser: nn.Module,
        environment: EnvironmentEncoder,
        guidance: float = 3.0,
        steps: int = 15,
        env_guidance: str = "drop",
        guidance_beside: float | None = None,
        guidance_start: float = 1.0,
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
        self.guidance, self.steps, self.env_guidance = guidance, steps, env_guidance
        self.guidance_start, self.costly = guidance_start, costly
        self.guidance_beside = guidance if guidance_beside is None else guidance_beside
        add_environment(denoiser, environment.d_env, clock=environment.clock > 0)

    def encode(self, data) -> Tensor:
        """z_0 (b, *latent_shape) of a batch."""
        return self.autoencoder.encode(data)

    def clock(self, z0: Tensor) -> Tensor:
        """V_m(z_0) at t = 0, (b, n, d_env), its summary zero, that is, absent: of a prompt the clock alone is heard.

        C says what the summary would say, and better: V has only seen whole scenes, and a prompt may say a part.
        """
        v = self.environment(z0, torch.zeros(len(z0), dtype=torch.long, device=z0.device))
        return torch.cat([torch.zeros_like(v[:, : self.environment.summary]), v[:, self.environment.summary :]], dim=1)

    def noise(self, b: int, generator: torch.Generator) -> Tensor:
        """ε (b, *latent_shape), drawn on the CPU: the same on every device."""
        return torch.randn(b, *self.latent_shape, generator=generator, dtype=torch.float32)


def build_modalities(c: ModelConfig, vocabulary: Sequence[str]) -> dict[str, Modality]:
    """The four modalities of Talking Digits, untrained."""
    tokenizer = WordTokenizer(vocabulary, c.max_words, spell_articles)
    image_vae = ImageVAE(c.size, c.image_latent, c.image_widths)
    clip_vae = VideoAutoencoder(image_vae, c.frames)
    vocoders = {"griffin-lim": GriffinLim, "network": lambda: Vocoder(c.vocoder_width, c.vocoder_layers)}
    if c.vocoder not in vocoders:
        raise ValueError(f"expected a vocoder out of {', '.join(vocoders)}, got {c.vocoder!r}")
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
            guidance=2.5,
            env_guidance="with",
        ),
        Modality(
            TensorData("image", (3, c.size, c.size), 0.0, 1.0),
            image_vae,
            ImagePromptEncoder(c.d, c.prompt_width),
            unet(UNet, image_vae.latent_shape, c.image_unet),
            environment(image_vae.latent_shape, "b e (h p) (w q) -> b 1 (h w) (e p q)", {"p": 2, "q": 2}),
            guidance=1.6,
            guidance_beside=3.0,
            guidance_start=0.9,
        ),
        Modality(
            TensorData("audio", (c.samples,), -1.0, 1.0),
            audio_vae,
            AudioPromptEncoder(c.d, c.prompt_width),
            unet(UNet, audio_vae.latent_shape, c.audio_unet),
            environment(audio_vae.latent_shape, "b e (m p) n -> b n m (e p)", {"p": 4}, clock=c.frames),
            guidance=1.6,
            guidance_beside=2.5,
        ),
        Modality(
            TensorData("video", (c.frames, 3, c.size, c.size), 0.0, 1.0),
            clip_vae,
            VideoPromptEncoder(c.d, c.prompt_width, c.frames),
            unet(VideoUNet, clip_vae.latent_shape, c.image_unet),
            environment(
                clip_vae.latent_shape, "(b f) e (h p) (w q) -> b f (h w) (e p q)", {"p": 4, "q": 4}, clock=c.frames
            ),
            guidance=2.7,
            guidance_start=0.9,
            steps=8,
            costly=True,
        ),
    ]
    return {m.name: m for m in modalities}
