"""Every size and every number of training steps, as frozen dataclasses, and the presets tiny, small and base."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace


@dataclass(frozen=True)
class UNetConfig:
    """Sizes of a denoiser; see `denoisers.UNet`."""

    widths: tuple[int, ...] = (64, 96)
    depth: int = 1
    embed: int = 160
    tokens: int = 4


@dataclass(frozen=True)
class ModelConfig:
    """Sizes of all modules. Data: 32×32 images, 8 frames, 8192 samples at 8 kHz, captions of at most 12 words."""

    d: int = 128  # the prompt space
    memory: int = 700  # captions that prompts are projected on; Talking Digits has 692 meanings
    d_env: int = 128  # an environment token
    summary: int = 4  # environment tokens that say what; audio and video have one more a frame that says when
    T: int = 1000
    schedule: str = "cosine"
    prediction: str = "v"
    size: int = 32
    frames: int = 8
    samples: int = 8192
    rate: int = 8000
    max_words: int = 12
    image_latent: int = 4
    image_widths: tuple[int, ...] = (32, 96)
    audio_latent: int = 8
    audio_widths: tuple[int, ...] = (16, 48, 96)
    vocoder: str = "griffin-lim"  # or "network", which has a stage of its own
    vocoder_width: int = 160
    vocoder_layers: int = 5
    text_latent: tuple[int, int] = (8, 8)
    text_width: int = 128
    prompt_width: int = 32
    text_prompt_width: int = 128
    text_unet: UNetConfig = UNetConfig(widths=(96, 96))
    image_unet: UNetConfig = UNetConfig()
    audio_unet: UNetConfig = UNetConfig()
    env_width: int = 96
    env_layers: int = 2


@dataclass(frozen=True)
class Stage:
    """One training stage: `steps` of AdamW on batches of `batch` at a peak learning rate `lr`.

    `shift`: how much denser a denoiser's times t are drawn where noise is strong, see `shifted`.
    """

    steps: int
    batch: int
    lr: float = 1e-3
    shift: float = 1.0


@dataclass(frozen=True)
class TrainConfig:
    """Stages in the order in which they are trained, and what the diffusion stages share."""

    stages: dict[str, Stage] = field(default_factory=dict)
    cache: int = 40_000  # samples of a pair that are rendered and encoded once
    video_cache: int = 16_000
    p_null: float = 0.1  # how often a prompt is dropped, for classifier-free guidance
    p_single: tuple[float, float] = (0.4, 0.2)  # how often one text, one prompt of the output's kind; else a mixture
    cond_noise: float = 0.02  # σ a component, added to prompts of unit norm: bridges the gap between modalities
    env_noise: float = 0.3  # σ a component, added to environment tokens of unit variance, for the same reason
    lam: float = 0.5  # λ of L_Cross + λ (L_Con + L_Read), L_Con weighted as in `training.joint`
    clip_share: float = 0.4  # of a joint batch, how much the video denoiser sees: a clip costs as much as ten images
    wiring: str = "others"  # what stages 4 and 5 train with, see `alignment.wire`; L_Read only where others are seen
    p_own: float = 0.2  # how often a stream's environment is its own modality's, drawn apart: bridges the gap, too
    ema: float = 0.999
    autocast: str | None = None
    compile: bool = False


@dataclass(frozen=True)
class Config:
    """A preset: its name, the model's sizes and the training's."""

    name: str
    model: ModelConfig
    train: TrainConfig

    def to_dict(self) -> dict:
        """Plain JSON types; `from_dict` is the inverse."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> Config:
        """A config from what `to_dict` gave, also after a trip through JSON.

        Unknown keys and missing sections are a ValueError; what else is missing has its default.
        """
        try:
            model, train = dict(values["model"]), dict(values["train"])
            for key, value in model.items():
                if key.endswith("_unet"):
                    model[key] = UNetConfig(**{**value, "widths": tuple(value["widths"])})
                elif isinstance(value, list):
                    model[key] = tuple(value)
            train["p_single"] = tuple(train.get("p_single", TrainConfig.p_single))
            train["stages"] = {name: Stage(**stage) for name, stage in train["stages"].items()}
            return cls(values["name"], ModelConfig(**model), TrainConfig(**train))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"expected a config with name, model and train sections, got a bad or missing key: {error}"
            ) from error


# An hour and a half on two cores. Where denoisers of images, voices and clips learn by themselves, twice the steps on
# batches of half the size cost little more, and bring them nearer to real samples (the log in docs/experiments.md).
SMALL_STAGES = {
    "autoencoder-image": Stage(2000, 64, 2e-3),
    "autoencoder-audio": Stage(2400, 32, 2e-3),
    "autoencoder-text": Stage(1300, 128, 1e-3),
    "prompts-text-image": Stage(900, 128, 1e-3),
    "prompts-text-audio": Stage(700, 96, 1e-3),
    "prompts-text-video": Stage(1500, 40, 1e-3),
    "denoiser-image": Stage(4000, 32, 1e-3),
    "denoiser-audio": Stage(3600, 32, 2e-3),
    "denoiser-text": Stage(3000, 128, 1.5e-3),
    "denoiser-video": Stage(2000, 8, 1e-3, shift=2.0),
    "environment": Stage(1600, 128, 2e-3),
    "joint": Stage(900, 48, 1.5e-3),
    "beside-video": Stage(1200, 16, 1e-3, shift=2.0),
}
# with time to spare, the other denoisers go on beside others, too, in this order
BESIDE = {
    "beside-text": Stage(1200, 128, 1e-3),
    "beside-image": Stage(1200, 64, 1e-3),
    "beside-audio": Stage(1200, 64, 1e-3),
    "beside-video": SMALL_STAGES["beside-video"],
}
ALL_STAGES = {name: stage for name, stage in SMALL_STAGES.items() if name not in BESIDE} | BESIDE


def scaled(stages: dict[str, Stage], steps: float, batch: int) -> dict[str, Stage]:
    """The same stages, `steps` times as long, on batches of at most `batch` (steps < 1) or `batch` times as large."""
    return {
        name: replace(
            stage,
            steps=max(4, int(stage.steps * steps)),
            batch=min(stage.batch, batch) if steps < 1 else stage.batch * batch,
        )
        for name, stage in stages.items()
    }


TINY_UNET = UNetConfig(widths=(32, 32), embed=32, tokens=2)

PRESETS: dict[str, Config] = {
    "tiny": Config(
        "tiny",
        ModelConfig(
            d=16,
            d_env=32,
            summary=2,
            image_widths=(16, 16),
            audio_widths=(16, 16, 16),
            vocoder_width=16,
            vocoder_layers=1,
            text_width=32,
            prompt_width=8,
            text_prompt_width=32,
            text_unet=TINY_UNET,
            image_unet=TINY_UNET,
            audio_unet=TINY_UNET,
            env_width=32,
            env_layers=1,
        ),
        TrainConfig(scaled(ALL_STAGES, 0.001, 8), cache=64, video_cache=16),
    ),
    "small": Config("small", ModelConfig(), TrainConfig(SMALL_STAGES)),
    "base": Config(
        "base",
        ModelConfig(
            d=256,
            d_env=256,
            image_widths=(64, 192),
            audio_widths=(64, 128, 256),
            vocoder_width=384,
            vocoder_layers=8,
            text_width=256,
            prompt_width=64,
            text_prompt_width=256,
            text_unet=UNetConfig(widths=(256, 256), depth=2, embed=512, tokens=8),
            image_unet=UNetConfig(widths=(192, 384), depth=2, embed=512, tokens=8),
            audio_unet=UNetConfig(widths=(192, 384), depth=2, embed=512, tokens=8),
            env_width=256,
            env_layers=4,
        ),
        TrainConfig(scaled(ALL_STAGES, 8, 4), cache=100_000, video_cache=40_000, autocast="bf16", compile=True),
    ),
}


def preset(name: str) -> Config:
    """The preset of that name; ValueError lists the names there are."""
    if name not in PRESETS:
        raise ValueError(f"expected a preset out of {', '.join(PRESETS)}, got {name!r}")
    return PRESETS[name]
