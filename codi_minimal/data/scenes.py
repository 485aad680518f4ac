"""Scenes of the Talking Digits world: their attributes, and how each modality renders them.

Attributes are on the CPU, where generators draw them. Renders are made on the device of the source's glyphs and
recordings.
"""

from dataclasses import dataclass, fields
from functools import partial
from typing import TypeAlias

import torch
from einops import einsum
from torch import Tensor

from codi_minimal.spectrogram import SAMPLES

from .sources import Source

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
COLOURS = {
    "red": (1.0, 0.15, 0.15), "green": (0.15, 0.9, 0.25), "blue": (0.25, 0.4, 1.0), "yellow": (1.0, 0.9, 0.2),
    "magenta": (1.0, 0.3, 0.9), "cyan": (0.2, 0.95, 0.95), "orange": (1.0, 0.55, 0.1), "white": (1.0, 1.0, 1.0),
}  # fmt: skip
MOTIONS = ("left", "right", "up", "down", "growing", "shrinking")
ONSETS = (1, 2, 3, 4)
WORDS = {"digit": DIGITS, "colour": tuple(COLOURS), "motion": MOTIONS}  # what a text may state
ATTRIBUTES_OF = {
    "text": ("digit", "colour", "motion"),
    "image": ("digit", "colour"),
    "audio": ("digit", "onset"),
    "video": ("digit", "colour", "motion", "onset"),
}

CANVAS, FRAMES = 32, 8
SAMPLES_PER_ONSET = 1000
SILENCE = 0.002  # standard deviation of the noise before and after the voice
VIDEO_WIDTH = 22.0
_STEP = 1.5 * torch.tensor([[-1.0, 0], [1, 0], [0, -1], [0, 1], [0, 0], [0, 0]])  # px a frame (x, y)
_GROWTH = torch.tensor([1.0, 1, 1, 1, 1.07, 1 / 1.09])  # factor on the width, a frame


Index: TypeAlias = slice | list[int] | Tensor


@dataclass(frozen=True)
class Scene:
    """A batch of scenes: attributes as indices (-1: not given), and what else renders need."""

    digit: Tensor  # index into DIGITS
    colour: Tensor  # into COLOURS
    motion: Tensor  # into MOTIONS
    onset: Tensor  # the frame at which the motion and the voice start, 1 … 4
    glyph: Tensor  # index into the source
    recording: Tensor  # the same
    width: Tensor  # of the image's glyph, in px
    centre: Tensor  # "b 2": the glyph's offset from the middle of the canvas, (x, y) in px

    def __len__(self) -> int:
        return len(self.digit)

    def __getitem__(self, idx: Index) -> "Scene":
        return Scene(**{f.name: getattr(self, f.name)[idx] for f in fields(self)})

    def words(self) -> list[dict[str, str]]:
        """The attributes of each scene that a text may state, in words: b dicts, without what is -1."""
        rows = zip(*(getattr(self, key).tolist() for key in WORDS), strict=True)
        return [{key: WORDS[key][i] for key, i in zip(WORDS, row, strict=True) if i >= 0} for row in rows]


def draw(
    source: Source,
    n: int,
    generator: torch.Generator,
    glyphs: Tensor | None = None,
    recordings: Tensor | None = None,
    like: Scene | None = None,
) -> Scene:
    """n scenes, every attribute uniform, with a glyph and a recording of the digit drawn.

    Args:
        glyphs: indices (k,) into the source to draw from; None: the scenes have no glyph. recordings: the same.
        like: n scenes, whose attributes they have.

    Raises:
        ValueError: a digit has no glyph or no recording among the indices.
    """
    integers = partial(torch.randint, size=(n,), generator=generator)
    attributes = {
        "digit": integers(len(DIGITS)),
        "colour": integers(len(COLOURS)),
        "motion": integers(len(MOTIONS)),
        "onset": integers(len(ONSETS)) + ONSETS[0],
    }
    if like is not None:
        attributes = {name: getattr(like, name) for name in attributes}
    digit = attributes["digit"]
    return Scene(
        **attributes,
        glyph=_pick(digit, source.digits, glyphs, generator),
        recording=_pick(digit, source.spoken, recordings, generator),
        width=20 + 4 * torch.rand(n, generator=generator),
        centre=-2 + 4 * torch.rand(n, 2, generator=generator),
    )


def _pick(digit: Tensor, labels: Tensor, pool: Tensor | None, generator: torch.Generator) -> Tensor:
    """For each digit a random index out of the pool that has this label; -1 if there is no pool."""
    if pool is None:
        return torch.full_like(digit, -1)
    pool = pool[labels[pool].argsort(stable=True)]
    count = labels[pool].bincount(minlength=len(DIGITS))
    if (count[digit] == 0).any():
        missing = [DIGITS[i] for i in digit.unique().tolist() if count[i] == 0]
        raise ValueError(f"expected at least one of every digit to draw from, got none of {missing}")
    within = (torch.rand(len(digit), generator=generator, dtype=torch.float64) * count[digit]).long()
    return pool[(count.cumsum(0) - count)[digit] + within]


def render_image(source: Source, scene: Scene, generator: torch.Generator | None = None) -> Tensor:
    """The image of each scene, "b 3 32 32" in [0, 1]; no generator is used. ValueError: a scene has no glyph."""
    return _render(source, scene, scene.width[:, None], scene.centre[:, None])[:, 0]


def render_video(source: Source, scene: Scene, generator: torch.Generator | None = None) -> Tensor:
    """The video of each scene, "b 8 3 32 32" in [0, 1], 8 frames a second. Generator and errors as of images.

    k = max(0, frame - onset + 1) frames moved: centre + 1.5 k px, or width 22 · 1.07^k, or 22 / 1.09^k.
    """
    moved = (torch.arange(FRAMES) - scene.onset[:, None] + 1).clamp(min=0)  # b f
    centre = scene.centre[:, None] + moved[..., None] * _STEP[scene.motion][:, None]  # b f 2
    return _render(source, scene, VIDEO_WIDTH * _GROWTH[scene.motion][:, None] ** moved, centre)


def render_audio(source: Source, scene: Scene, generator: torch.Generator | None = None) -> Tensor:
    """The sound of each scene, "b 8192" in [-1, 1] at 8 kHz: noise, and the recording from sample 1000 · onset.

    ValueError: there is no generator for the noise, or a scene has no recording.
    """
    if generator is None:
        raise ValueError("expected a torch.Generator for the noise of silence, got None")
    _require(scene.recording, "recording")
    silence = SILENCE * torch.randn(len(scene), SAMPLES, generator=generator)
    voice = source.recordings[scene.recording]  # b l
    length, start = source.lengths[scene.recording], SAMPLES_PER_ONSET * scene.onset
    silence, length, start = (x.to(voice.device) for x in (silence, length[:, None], start[:, None]))
    at = torch.arange(SAMPLES, device=voice.device) - start  # b s: which sample of the recording
    heard = (at >= 0) & (at < length)
    return torch.where(heard, voice.gather(1, at.clamp(0, voice.shape[1] - 1)), silence)


RENDERERS = {"image": render_image, "audio": render_audio, "video": render_video}


def _require(index: Tensor, what: str) -> None:
    if (index < 0).any():
        raise ValueError(f"expected scenes with a {what}, got scenes drawn without one")


def _render(source: Source, scene: Scene, width: Tensor, centre: Tensor) -> Tensor:
    """Glyphs in colour, scaled bilinearly to width "b f" px around centre "b f 2", on black: "b f 3 32 32".

    Scaling along the axes is separable, so a frame is R_y G R_xᵀ with R the hat weights of the interpolation.
    """
    _require(scene.glyph, "glyph")
    glyph = source.glyphs[scene.glyph].float() / 255  # b i j
    size, width, centre = glyph.shape[-1], width.to(glyph.device), centre.to(glyph.device)
    pixel = torch.arange(CANVAS, device=glyph.device) + 0.5 - CANVAS / 2
    at = (pixel - centre[..., None]) * (size / width)[..., None, None] + (size - 1) / 2  # b f xy pixel
    weight = (1 - (at[..., None] - torch.arange(size, device=glyph.device)).abs()).clamp(min=0)  # b f xy pixel size
    rgb = torch.tensor(list(COLOURS.values()))[scene.colour].to(glyph.device)
    with torch.autocast(glyph.device.type, enabled=False):  # data has the same precision in any training
        rows = einsum(weight[:, :, 1], glyph, "b f h i, b i j -> b f h j")
        grey = einsum(rows, weight[:, :, 0], "b f h j, b f w j -> b f h w")
        return einsum(grey, rgb, "b f h w, b c -> b f c h w").clamp(0, 1)  # rounding may pass 1 by an ulp
