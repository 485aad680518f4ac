"""Fits what people have (a digit photographed on paper, a voice memo, a screen recording) to the world.

The world has light ink on black in an MNIST digit's framing, 8 kHz with the voice at a peak of 0.8, and eight frames of
32 x 32. Data that is in the world's format already is not changed. Results are float32 on the CPU.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
import torchaudio
from einops import rearrange, reduce, repeat
from scipy import ndimage
from torch import Tensor

from codi_minimal.data.scenes import CANVAS, FRAMES, SAMPLES, SAMPLES_PER_ONSET, SILENCE, VIDEO_WIDTH
from codi_minimal.data.voices import RATE, WINDOW, loudness, trim, voice_start
from codi_minimal.inputs import check_number, check_tensor

INK = VIDEO_WIDTH * 20 / 28  # px: an MNIST digit fills 20 of its 28 px, and the world draws those 22 px wide
PHOTO, STROKE = 160, 0.25  # px; the width of the thickest stroke, of the picture's shorter side
OFFSET = 0.05  # mean of a recording: the world's voices have up to 0.03, more is a fault of the microphone
CLICK, PAUSE = 2, 6  # windows of 16 ms: a click lasts at most 2, and a voice hardly ever pauses for 6 after its start


def fit_image(pixels: Tensor) -> Tensor:
    """Frames a drawing as MNIST does: the ink's longer side is 15.7 px, and its centre of mass is in the middle.

    A light-on-black picture of 32 x 32 pixels is in the world already and is not framed. The same holds for one of
    32 x 32 squares of equal pixels, as `media.write_png` writes it: it is made smaller and nothing else.

    `pixels`: "3 h w" in [0, 1], dark ink on light paper or light ink on black, in one colour. Black or grey ink becomes
    white, coloured ink keeps its hue at full brightness. Dark ink may be photographed in uneven light, with shadows.
    Returns "3 32 32" in [0, 1]. ValueError: nothing is drawn.
    """
    pixels = check_tensor("pixels", pixels, (3, "h", "w"), 0, 1).detach().cpu()
    paper = _paper(pixels[None])
    if paper.max() < 0.1 and pixels.max() > 0.1 and (small := _of_squares(pixels)) is not None:
        return small
    found = _ink_in_uneven_light(pixels) if _unevenly_lit(pixels, paper) else None
    coverage, colour = found or _ink(pixels[None], paper)
    ys, xs = torch.nonzero(coverage[0, 0] > 0.3, as_tuple=True)
    glyph = coverage[..., ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]
    scale = INK / max(glyph.shape[-2:])
    h, w = (max(1, round(n * scale)) for n in glyph.shape[-2:])
    glyph = F.interpolate(glyph, (h, w), mode="bicubic", antialias=True)[0, 0].clamp(0, 1)
    glyph = glyph / glyph.max()  # a thin pen on a large sheet would fade
    top, left = _start(glyph.sum(1)), _start(glyph.sum(0))
    canvas = torch.zeros(CANVAS, CANVAS, dtype=torch.float32)
    canvas[top : top + h, left : left + w] = glyph
    return colour[:, None, None] * canvas


def fit_video(frames: Tensor) -> Tensor:
    """Keeps the middle square of every frame, and makes dark ink on light paper light ink on black.

    "8 3 h w" in [0, 1] becomes "8 3 32 32"; nothing on a light background is a ValueError.
    """
    frames = check_tensor("frames", frames, (FRAMES, 3, "h", "w"), 0, 1).detach().cpu()
    paper = _paper(frames)
    if paper.max() >= 0.1:
        coverage, colour = _ink(frames, paper)
        frames = colour[:, None, None] * coverage
    h, w = frames.shape[-2:]
    side = min(h, w)
    top, left = (h - side) // 2, (w - side) // 2
    square = frames[..., top : top + side, left : left + side]
    return F.interpolate(square, (CANVAS, CANVAS), mode="area")  # exact where a pixel was repeated k times


def fit_audio(wave: Tensor, rate: int) -> Tensor:
    """Puts a recording's voice, at peak 0.8, into 8192 samples at 8 kHz of the world's silence, which is a fixed noise.

    In a recording of 1.0 to 1.1 s the voice keeps its start time, which a video generated from it will follow. In any
    other recording the voice is moved to sample 2000 (onset 2), or to 1000 if it would not fit. It is cut at the end.
    A click before the voice and a constant offset are removed. 8192 samples at 8 kHz without an offset are kept.

    `wave`: "n", mono, 128 samples or more. `rate`: 2,000 to 192,000 samples a second. Returns "8192" in [-1, 1].
    ValueError: silence.
    """
    wave = check_tensor("samples", wave, ("n",)).detach().cpu()
    check_number("samples a second", rate, 2000, 192_000)
    in_world, keeps_clock = (len(wave), rate) == (SAMPLES, RATE), 1.0 <= round(len(wave) / rate, 2) <= 1.1
    if keeps_clock:
        wave = wave[: math.ceil(SAMPLES * rate / RATE)]
    offset = wave.mean()
    voice = wave - offset
    if voice.abs().max() < 1e-3:
        raise ValueError("expected a voice, got silence")
    if in_world and offset.abs() < OFFSET:
        return wave.clamp(-1, 1)
    rate = 25 * round(rate / 25)  # a rate coprime with 8000 would need a filter bank of gigabytes
    voice = torchaudio.functional.resample(voice, rate, RATE).numpy()
    start = _start_after_clicks(voice)
    voice = torch.from_numpy(trim(voice[start:]))
    if not keeps_clock:
        start = SAMPLES_PER_ONSET * (2 if len(voice) <= SAMPLES - 2 * SAMPLES_PER_ONSET else 1)
    out = SILENCE * torch.randn(SAMPLES, generator=torch.Generator().manual_seed(0), dtype=torch.float32)
    rest = out[start:][: len(voice)]
    rest[:] = voice[: len(rest)]
    return out


def _of_squares(pixels: Tensor) -> Tensor | None:
    """The 32 x 32 picture, if these pixels are that picture with every pixel drawn k px wide."""
    k = pixels.shape[-1] // CANVAS
    if pixels.shape[-2:] != (k * CANVAS, k * CANVAS):
        return None
    small = reduce(pixels, "c (h k) (w l) -> c h w", "mean", k=k, l=k)
    return small if (repeat(small, "c h w -> c (h k) (w l)", k=k, l=k) - pixels).abs().max() < 1 / 255 else None


def _start_after_clicks(wave: np.ndarray) -> int:
    """Where the voice starts by the world's rule, after all clicks that a pause follows."""
    start = voice_start(wave)
    while True:
        rms = loudness(wave[start:])[CLICK:]
        if len(rms) <= PAUSE or rms[:PAUSE].max() >= rms.max() / 10:
            return start
        start += CLICK * WINDOW
        start += voice_start(wave[start:])


def _paper(frames: Tensor) -> Tensor:
    """The colour of the background, "3": the median along the border."""
    edges = [frames[..., 0, :], frames[..., -1, :], frames[..., 0], frames[..., -1]]
    return rearrange(torch.cat(edges, dim=-1), "n c l -> c (n l)").median(dim=1).values


def _unevenly_lit(pixels: Tensor, paper: Tensor) -> bool:
    """Whether this is light paper of which more than a tenth of the border has another brightness, and is no ink."""
    border = torch.cat([pixels[:, 0], pixels[:, -1], pixels[:, :, 0], pixels[:, :, -1]], dim=-1)
    ink = pixels.mean(0).min() + 0.15
    other = ((border - paper[:, None]).abs().amax(0) > 0.08) & (border.mean(0) > ink)
    return bool(paper.mean() > 0.2 and other.float().mean() > 0.1)


def _ink_in_uneven_light(pixels: Tensor) -> tuple[Tensor, Tensor] | None:
    """As `_ink`, of a photograph; None if the ink is not darker than its paper."""
    flat = _evenly_lit(pixels.float())
    if flat is None or (1 - flat).max() < 0.1:
        return None
    coverage, colour = _ink(flat[None], torch.ones(3, dtype=torch.float32), grey=0.25)
    return _without_specks(coverage), colour


def _evenly_lit(pixels: Tensor) -> Tensor | None:
    """A photograph "3 h w" of dark ink, divided by the light on its paper, at most PHOTO px wide and high.

    None if something on it is lighter than what surrounds it by more than anything is darker: light ink.

    The light is what closing leaves: it fills strokes that are thinner than STROKE of the picture, and keeps the edges
    of shadows.
    """
    scale = min(1.0, PHOTO / max(pixels.shape[1:]))
    small = F.interpolate(pixels[None], [max(1, round(scale * n)) for n in pixels.shape[1:]], mode="area")
    k = 2 * round(STROKE * min(small.shape[2:]) / 2) + 1
    light, dark = _closed(small, k), -_closed(-small, k)
    if (small - dark).max() > (light - small).max():
        return None
    return (small / light.clamp(min=0.02))[0].clamp(0, 1)


def _closed(x: Tensor, k: int) -> Tensor:
    """Closing by a square of k px: the least of the largest values nearby."""
    return -_greatest(-_greatest(x, k), k)


def _greatest(x: Tensor, k: int) -> Tensor:
    """The greatest value within a square of k px; along one axis after the other, which is quicker."""
    return F.max_pool2d(F.max_pool2d(x, (k, 1), 1, (k // 2, 0)), (1, k), 1, (0, k // 2))


def _without_specks(coverage: Tensor) -> Tensor:
    """Ink "1 1 h w" without the parts that have less than a tenth of the largest part's: dust, and dark corners."""
    part, n = ndimage.label(coverage[0, 0] > 0.2)
    mass = np.bincount(part.ravel(), coverage[0, 0].ravel(), n + 1)[1:]
    kept = 1 + np.flatnonzero(mass >= 0.1 * mass.max())
    return coverage * torch.from_numpy(np.isin(part, kept))


def _ink(frames: Tensor, paper: Tensor, grey: float = 0.15) -> tuple[Tensor, Tensor]:
    """Where ink covers the paper, "n 1 h w" in [0, 1], and that ink's colour, "3", at full brightness.

    `grey`: up to which difference between its channels ink counts as black or grey.
    """
    distance = reduce((frames - paper[:, None, None]).abs(), "n c h w -> n 1 h w", "max")
    if distance.max() < 0.1:
        raise ValueError("expected something drawn on a plain background, got a blank picture")
    coverage = distance / distance.max()
    full = coverage > 0.6
    colour = (frames * full).sum((0, 2, 3)) / full.sum()
    is_grey = colour.max() - colour.min() < grey
    colour = torch.ones_like(colour) if is_grey else colour / colour.max()
    return coverage * ((coverage - 0.1) / 0.2).clamp(0, 1), colour  # the grain of the paper is not ink


def _start(mass: Tensor) -> int:
    """Where a glyph with this profile must start to have its centre of mass in the middle of the canvas."""
    centre = (mass * (torch.arange(len(mass), dtype=mass.dtype) + 0.5)).sum() / mass.sum()
    return min(max(round(CANVAS / 2 - centre.item()), 0), CANVAS - len(mass))
