"""Writes what `CoDi.generate` returns, one sample at a time."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from einops import repeat
from PIL import Image
from torch import Tensor

from codi_minimal.data.voices import RATE
from codi_minimal.inputs import check_tensor

from .clips import pyav

FPS = 8


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


def write_mp4(path: str | Path, video: Tensor, upscale: int = 8) -> Path:
    """Writes a video, "f 3 h w" in [0, 1], as H.264 at 8 frames a second; needs the extra `video`."""
    av = pyav()
    frames = _bytes_of(video, ("f", 3, "h", "w"), upscale)
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
        for frame in np.ascontiguousarray(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return Path(path)


def write_sample(folder: str | Path, stem: str, sample: Mapping[str, Any], mp4: bool = False) -> list[Path]:
    """Writes one sample, {modality: item}, each to <folder>/<stem>-<modality>.<ending>."""
    writers = {
        "text": ("txt", write_text),
        "image": ("png", partial(write_png, upscale=8)),
        "audio": ("wav", write_wav),
        "video": ("mp4", write_mp4) if mp4 else ("gif", write_gif),
    }
    chosen = [(name, item, *writers[name]) for name, item in sample.items()]
    return [write(Path(folder) / f"{stem}-{name}.{ending}", item) for name, item, ending, write in chosen]


def _bytes_of(pixels: Tensor, shape: tuple, upscale: int) -> np.ndarray:
    """Pixels in [0, 1], "... 3 h w", as bytes "... h w 3"."""
    pixels = check_tensor("pixels", pixels, shape).detach().cpu()
    pixels = repeat(pixels, "... c h w -> ... (h k) (w l) c", k=upscale, l=upscale)
    return (pixels.clamp(0, 1) * 255).round().to(torch.uint8).numpy()
