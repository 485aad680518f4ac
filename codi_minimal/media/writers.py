"""Writes what `CoDi.generate` returns, one sample at a time."""

from collections.abc import Mapping
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile
import torch
from einops import repeat
from PIL import Image
from torch import Tensor
from torchaudio.functional import resample

from codi_minimal.data.voices import RATE
from codi_minimal.inputs import check_tensor

FPS = 8
SOUND_RATE = 48_000  # of an MP4: players need not know 8 kHz


def write_text(path: str | Path, text: str) -> Path:
    """Writes one caption and a newline."""
    Path(path).write_text(text + "\n", encoding="utf-8")
    return Path(path)


def write_png(path: str | Path, image: Tensor, upscale: int = 1) -> Path:
    """Writes an image, "3 h w" in [0, 1], every pixel `upscale` wide."""
    Image.fromarray(_bytes_of(image, (3, "h", "w"), upscale)).save(path, format="PNG")
    return Path(path)


def write_wav(path: str | Path, wave: Tensor) -> Path:
    """Writes audio, "n" in [-1, 1] at 8 kHz, as 16-bit PCM."""
    samples = check_tensor("samples", wave, ("n",)).detach().cpu().clamp(-1, 1).numpy()
    with open(path, "wb") as file:  # soundfile itself refuses some names
        soundfile.write(file, samples, RATE, subtype="PCM_16", format="WAV")
    return Path(path)


def write_gif(path: str | Path, video: Tensor, upscale: int = 4) -> Path:
    """Writes a video, "f 3 h w" in [0, 1], as an endless GIF of 8 frames a second."""
    frames = [Image.fromarray(frame) for frame in _bytes_of(video, ("f", 3, "h", "w"), upscale)]
    # GIF counts hundredths of a second: 120 and 130 ms in turn make exactly 8 frames a second
    times = [120 + 10 * (i % 2) for i in range(len(frames))]
    frames[0].save(path, format="GIF", save_all=True, append_images=frames[1:], duration=times, loop=0)
    return Path(path)


def write_mp4(path: str | Path, video: Tensor, wave: Tensor | None = None, upscale: int = 8) -> Path:
    """Writes a video, "f 3 h w" in [0, 1], as H.264 at 8 frames a second; and audio, "n" at 8 kHz, as its AAC sound."""
    frames = _bytes_of(video, ("f", 3, "h", "w"), upscale)
    sound = None if wave is None else check_tensor("samples", wave, ("n",)).detach().cpu().clamp(-1, 1)
    with av.open(str(path), "w", format="mp4") as container:
        pictures = container.add_stream("libx264", rate=FPS)
        pictures.height, pictures.width, pictures.pix_fmt = *frames.shape[1:3], "yuv420p"
        track = None if sound is None else container.add_stream("aac", rate=SOUND_RATE, layout="mono")
        for frame in np.ascontiguousarray(frames):
            container.mux(pictures.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(pictures.encode())
        if track is not None:
            samples = av.AudioFrame.from_ndarray(resample(sound, RATE, SOUND_RATE)[None].numpy(), "fltp", "mono")
            # with a time, the delay of the encoder is noted in the file, and players leave it out
            samples.rate, samples.pts, samples.time_base = SOUND_RATE, 0, Fraction(1, SOUND_RATE)
            container.mux(track.encode(samples))
            container.mux(track.encode())
    return Path(path)


def write_sample(folder: str | Path, stem: str, sample: Mapping[str, Any], gif: bool = False) -> list[Path]:
    """Writes one sample, {modality: item}, each to <folder>/<stem>-<modality>.<ending>.

    A video is an MP4, with the sample's audio as its sound, or a GIF.
    """
    writers = {
        "text": ("txt", write_text),
        "image": ("png", partial(write_png, upscale=8)),
        "audio": ("wav", write_wav),
        "video": ("gif", write_gif) if gif else ("mp4", partial(write_mp4, wave=sample.get("audio"))),
    }
    chosen = [(name, item, *writers[name]) for name, item in sample.items()]
    return [write(Path(folder) / f"{stem}-{name}.{ending}", item) for name, item, ending, write in chosen]


def _bytes_of(pixels: Tensor, shape: tuple, upscale: int) -> np.ndarray:
    """Pixels in [0, 1], "... 3 h w", as bytes "... h w 3"."""
    pixels = check_tensor("pixels", pixels, shape).detach().cpu()
    pixels = repeat(pixels, "... c h w -> ... (h k) (w l) c", k=upscale, l=upscale)
    return (pixels.clamp(0, 1) * 255).round().to(torch.uint8).numpy()
