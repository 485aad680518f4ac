"""Every size and every number of training steps, as frozen dataclasses, and the presets tiny, small and base."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, field, replace
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as pydantic_dataclass


@contextmanager
def _in_one_line(what: str) -> Iterator[None]:
    """Makes pydantic's error a ValueError of one line: where in `what`, what was expected, and what came."""
    try:
        yield
    except ValidationError as error:
        first: Any = error.errors()[0]
        where, message = ".".join(map(str, (what, *first["loc"]))), first["msg"].removeprefix("Value error, ")
        expected = message.replace("Input should be", "expected")
        raise ValueError(f"{where}: {expected}, got {reprlib.repr(first['input'])}") from None


def checked(cls: type) -> type:
    """A frozen dataclass that checks the types and ranges of its fields against their hints; else a ValueError."""
    made = pydantic_dataclass(cls, frozen=True, config=ConfigDict(strict=True, extra="forbid", allow_inf_nan=False))
    made.__init__ = _in_one_line(cls.__name__)(made.__init__)
    return made


def from_plain(cls: type, values: Any, what: str) -> Any:
    """An instance of a `checked` class from plain JSON types, which have lists for tuples; `what` is for the error."""
    with _in_one_line(what):
        return TypeAdapter(cls).validate_json(json.dumps(values))


def _each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise ValueError("expected each modality once")
    return names


Count = Annotated[int, Field(ge=1, le=100_000_000)]
Few = Annotated[int, Field(ge=1, le=16)]
Width = Annotated[int, Field(ge=8, le=1024, multiple_of=8)]  # channels, which group norm shares among 8 groups
Embedding = Annotated[int, Field(ge=16, le=4096, multiple_of=2)]
MODALITIES = ("text", "image", "audio", "video")
MAX_WORDS = 256
Share = Annotated[float, Field(ge=0, le=1)]
Sigma = Annotated[float, Field(ge=0, le=100)]


@checked
class UNetConfig:
    """Sizes of a denoiser; see `denoisers.UNet`."""

    widths: Annotated[tuple[Width, ...], Field(min_length=1, max_length=4)] = (64, 96)
    depth: Few = 1
    embed: Embedding = 160
    tokens: Annotated[int, Field(ge=1, le=64)] = 4


@checked
class ModelConfig:
    """Sizes of all modules. Data: 32×32 images, 8 frames, 8192 samples at 8 kHz, captions of at most 12 words."""

    d: Embedding = 128  # the prompt space
    d_env: Annotated[int, Field(ge=32, le=4096)] = 128  # an environment token
    summary: Few = 4  # environment tokens without a time; audio and video have one more a frame, with its time
    T: Annotated[int, Field(ge=2, le=100_000)] = 1000
    schedule: Literal["linear", "scaled_linear", "cosine"] = "cosine"
    prediction: Literal["v", "epsilon"] = "v"  # our choice: v; the paper predicts epsilon
    size: Literal[32] = 32  # these four are fixed by the data, and saved so that a port can read them
    frames: Literal[8] = 8
    samples: Literal[8192] = 8192
    rate: Literal[8000] = 8000
    modalities: Annotated[
        tuple[Literal["text", "image", "audio", "video"], ...], Field(min_length=1), AfterValidator(_each_once)
    ] = MODALITIES
    fit: Literal["digits", "plain"] = "digits"  # how people's files become data: see `fitting`, and `media.plain`
    max_words: Annotated[int, Field(ge=1, le=MAX_WORDS)] = 12
    image_latent: Annotated[int, Field(ge=1, le=64)] = 4
    image_widths: Annotated[tuple[Width, ...], Field(min_length=1, max_length=3)] = (32, 96)
    audio_latent: Annotated[int, Field(ge=1, le=64)] = 8
    audio_widths: tuple[Width, Width, Width] = (16, 48, 96)  # three halvings leave one column of the latent a frame
    vocoder: Literal["griffin-lim", "network"] = "griffin-lim"  # the network has a stage of its own
    vocoder_width: Width = 160
    vocoder_layers: Few = 5
    text_latent: tuple[Annotated[int, Field(ge=1, le=64)], Annotated[int, Field(ge=2, le=256)]] = (8, 8)
    text_width: Width = 128
    prompt_width: Width = 32
    text_prompt_width: Width = 128
    text_unet: UNetConfig = UNetConfig(widths=(96, 96))
    image_unet: UNetConfig = UNetConfig()
    audio_unet: UNetConfig = UNetConfig()
    env_width: Width = 96
    env_layers: Few = 2


@checked
class Stage:
    """One training stage: `steps` of AdamW on batches of `batch` at a peak learning rate `lr`.

    `shift`: how much denser a denoiser's times t are drawn where noise is strong, see `training.denoisers`.
    """

    steps: Count
    batch: Count
    lr: Annotated[float, Field(ge=0, le=1)] = 1e-3
    shift: Annotated[float, Field(ge=0.01, le=100)] = 1.0


@checked
class TrainConfig:
    """Stages in the order in which they are trained, and what the diffusion stages share."""

    stages: dict[str, Stage] = field(default_factory=dict)
    split_seed: Annotated[int, Field(ge=0, lt=10**9)] = 0  # fixes the shares of validation and of each pairing
    cache: Count = 40_000  # samples of a pair that are rendered and encoded once
    video_cache: Count = 16_000
    p_null: Share = 0.1  # how often a prompt is dropped, for classifier-free guidance
    p_single: tuple[Share, Share] = (0.4, 0.2)  # how often one text, one prompt of the output's kind; else a mixture
    cond_noise: Sigma = 0.02  # σ a component, added to prompts of unit norm, against the gap between modalities
    env_noise: Sigma = 0.3  # σ a component, added to environment tokens of unit variance, for the same reason
    lam: Annotated[float, Field(ge=0, le=100)] = 0.5  # λ of L_Cross + λ (L_Con + L_Read), see `training.joint`
    con: Annotated[float, Field(ge=0, le=100)] = 1.0  # weight of L_Con beside L_Read
    p_ahead: Share = 0.5  # of the joint stages' rows, in how many the other stream is ahead, not at the same t
    clip_share: Share = 0.4  # of a joint batch, how much the video denoiser sees: a clip costs as much as ten images
    wiring: Literal["others", "own", "pooled", "off"] = "others"  # of stages 4 and 5; L_Read only if others are seen
    p_own: Share = 0.2  # how often a stream sees tokens of itself, in other noise, against the gap between modalities
    synthetic_voices: bool = False  # C_audio also learns voices of espeak-ng, where it is installed
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.999
    autocast: Literal["bf16", None] = None
    compile: bool = False  # an old name: on a GPU denoisers are CUDA graphs, see `training.graphs`


@checked
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
        """A config from what `to_dict` gave, also after a trip through JSON. What is missing has its default.

        Raises:
            ValueError: a section is missing, a key is unknown, or a value has another type or is out of range.
        """
        return from_plain(cls, values, "config")


# For the denoisers of images and voices, twice the steps on batches of half the size cost little more, and samples are
# closer to real ones (the log in docs/experiments.md). Clips have the same.
ALL_STAGES = {
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
    "environment": Stage(6000, 128, 2e-3),
    "joint": Stage(900, 48, 1.5e-3),
    "beside-text": Stage(1200, 128, 1e-3),
    "beside-image": Stage(1200, 64, 1e-3),
    "beside-audio": Stage(1200, 64, 1e-3),
    "beside-video": Stage(1200, 16, 1e-3, shift=2.0),
}
LEFT_OUT = {"beside-text", "beside-image", "beside-audio"}  # of "small": without them it takes 67 minutes on two cores

TINY_UNET, BASE_UNET = UNetConfig((32, 32), embed=32, tokens=2), UNetConfig((96, 160), embed=256)
SIZES = {
    "tiny": ModelConfig(
        d=16, d_env=32, summary=2, image_widths=(16, 16), audio_widths=(16, 16, 16), vocoder_width=16, vocoder_layers=1,
        text_width=32, prompt_width=8, text_prompt_width=32, text_unet=TINY_UNET, image_unet=TINY_UNET,
        audio_unet=TINY_UNET, env_width=32, env_layers=1,
    ),
    "small": ModelConfig(),
    "base": ModelConfig(
        image_widths=(48, 128), audio_widths=(32, 64, 128), vocoder_width=384, vocoder_layers=8, text_width=192,
        prompt_width=48, text_prompt_width=192, text_unet=replace(BASE_UNET, widths=(128, 128)), image_unet=BASE_UNET,
        audio_unet=BASE_UNET, env_width=128,
    ),
}  # fmt: skip
PLANS = {
    "tiny": TrainConfig(
        {name: replace(s, steps=4, batch=8) for name, s in ALL_STAGES.items()}, cache=64, video_cache=16
    ),
    "small": TrainConfig({name: s for name, s in ALL_STAGES.items() if name not in LEFT_OUT}),
    # for ten minutes of one H200: there, launches take most of a step, and larger batches cost little
    "base": TrainConfig(
        {name: replace(s, steps=min(s.steps, 4000), batch=4 * s.batch) for name, s in ALL_STAGES.items()},
        cache=60_000, video_cache=24_000, autocast="bf16", compile=True,
    ),
}  # fmt: skip
PRESETS = {name: Config(name, sizes, PLANS[name]) for name, sizes in SIZES.items()}


def preset(name: str) -> Config:
    """The preset of that name; ValueError lists the names there are."""
    if name not in PRESETS:
        raise ValueError(f"expected a preset out of {', '.join(PRESETS)}, got {name!r}")
    return PRESETS[name]
