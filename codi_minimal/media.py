"""Ordinary files in and out: PNG, WAV, GIF, MP4 and TXT.

Readers fit what they find to the world (see `fitting`) and raise a ValueError of one line that names the
file, what was expected and what came. Writers take what `CoDi.generate` returns, one sample at a time.
"""

import io
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from einops import rearrange, reduce, repeat
from PIL import Image, ImageOps, ImageSequence
from torch import Tensor

from codi_minimal.data.scenes import FRAMES
from codi_minimal.data.sources import RATE
from codi_minimal.fitting import fit_audio, fit_image, fit_video

FPS = 8
MAX_BYTES, MAX_PIXELS, MAX_SECONDS = 50_000_000, 64_000_000, 60

TEXT_FILE = "a UTF-8 text file (.txt)"
IMAGE_FILE = "a picture (.png, .jpg, .jpeg, .webp, .bmp)"
AUDIO_FILE = "a recording (.wav, .flac, .ogg, .mp3)"
VIDEO_FILE = "a clip (.gif, .mp4)"


def read_text(path: str | Path) -> str:
    """The caption in a text file: its words, one space apart."""
    data = _bytes(path, TEXT_FILE)
    with _decoding(path, TEXT_FILE):
        text = " ".join(data.decode("utf-8").split())
    if not text:
        raise ValueError(f"{path}: expected a caption, got only white space")
    return text


def read_image(path: str | Path) -> Tensor:
    """A picture of any size as the world's image, "3 32 32" in [0, 1]; see `fit_image`."""
    data = _bytes(path, IMAGE_FILE)
    with _decoding(path, IMAGE_FILE), Image.open(io.BytesIO(data)) as image:
        if image.width * image.height > MAX_PIXELS:
            raise ValueError(f"{image.width} x {image.height} is more than {MAX_PIXELS:,} pixels")
        pixels = _pixels(image)
    with _naming(path):
        return fit_image(pixels)


def read_audio(path: str | Path) -> Tensor:
    """A recording of any rate and channels as the world's audio, "8192" in [-1, 1]; see `fit_audio`."""
    data = _bytes(path, AUDIO_FILE)
    with _decoding(path, AUDIO_FILE):
        info = soundfile.info(io.BytesIO(data))
        if info.duration > MAX_SECONDS:
            raise ValueError(f"{info.duration:.0f} s is more than {MAX_SECONDS} s")
        wave, rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    with _naming(path):
        return fit_audio(torch.from_numpy(wave).mean(1), rate)


def read_video(path: str | Path) -> Tensor:
    """A clip's first second as the world's video, "8 3 32 32" in [0, 1]; see `fit_video`."""
    data = _bytes(path, VIDEO_FILE)
    read = _gif_frames if Path(path).suffix.lower() == ".gif" else _mp4_frames
    with _decoding(path, VIDEO_FILE):
        frames, starts, end = read(data)
    moments = (np.arange(FRAMES) + 0.5) / FRAMES * min(end, 1.0)
    with _naming(path):
        return fit_video(torch.stack([frames[i] for i in np.searchsorted(starts, moments, side="right") - 1]))


def write_text(path: str | Path, text: str) -> Path:
    """Writes one caption and a newline."""
    Path(path).write_text(text + "\n", encoding="utf-8")
    return Path(path)


def write_png(path: str | Path, image: Tensor, upscale: int = 1) -> Path:
    """Writes an image, "3 h w" in [0, 1], every pixel `upscale` wide."""
    Image.fromarray(_bytes_of(image, 3, upscale)).save(path, format="PNG")
    return Path(path)


def write_wav(path: str | Path, wave: Tensor) -> Path:
    """Writes audio, "n" in [-1, 1] at 8 kHz, as 16-bit PCM."""
    if wave.ndim != 1 or not torch.isfinite(wave).all():
        raise ValueError(f"expected finite samples of shape (n,), got {tuple(wave.shape)} or NaN")
    soundfile.write(str(path), wave.detach().cpu().clamp(-1, 1).numpy(), RATE, subtype="PCM_16", format="WAV")
    return Path(path)


def write_gif(path: str | Path, video: Tensor, upscale: int = 4) -> Path:
    """Writes a video, "f 3 h w" in [0, 1], as an endless GIF of 8 frames a second."""
    frames = [Image.fromarray(frame) for frame in _bytes_of(video, 4, upscale)]
    # GIF counts hundredths of a second: 120 and 130 ms in turn make exactly 8 frames a second
    times = [120 + 10 * (i % 2) for i in range(len(frames))]
    frames[0].save(path, format="GIF", save_all=True, append_images=frames[1:], duration=times, loop=0)
    return Path(path)


def write_mp4(path: str | Path, video: Tensor, upscale: int = 8) -> Path:
    """Writes a video, "f 3 h w" in [0, 1], as H.264 at 8 frames a second; needs the extra `video`."""
    av = _pyav()
    frames = _bytes_of(video, 4, upscale)
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
        for frame in np.ascontiguousarray(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return Path(path)


READERS = {"text": read_text, "image": read_image, "audio": read_audio, "video": read_video}
WRITERS = {
    "text": ("txt", write_text),
    "image": ("png", partial(write_png, upscale=8)),
    "audio": ("wav", write_wav),
    "video": ("gif", write_gif),
}


def write_sample(folder: str | Path, stem: str, sample: Mapping[str, Any], mp4: bool = False) -> list[Path]:
    """Writes one sample, {modality: item}, each to <folder>/<stem>-<modality>.<ending>."""
    writers = WRITERS | ({"video": ("mp4", write_mp4)} if mp4 else {})
    paths = []
    for name, item in sample.items():
        ending, write = writers[name]
        paths.append(write(Path(folder) / f"{stem}-{name}.{ending}", item))
    return paths


def _bytes(path: str | Path, expected: str) -> bytes:
    path = Path(path)
    if not path.is_file():
        came = "a folder" if path.is_dir() else "no such file"
        raise ValueError(f"{path}: expected {expected}, got {came}")
    suffix = path.suffix.lower()
    if not suffix or suffix not in expected.replace(",", " ").replace(")", " ").replace("(", " ").split():
        raise ValueError(f"{path}: expected {expected}, got the ending {suffix!r}")
    size = path.stat().st_size
    if not 0 < size <= MAX_BYTES:
        raise ValueError(f"{path}: expected {expected} of 1 to {MAX_BYTES:,} bytes, got {size:,}")
    return path.read_bytes()


@contextmanager
def _naming(path: str | Path) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


@contextmanager
def _decoding(path: str | Path, expected: str) -> Iterator[None]:
    """Whatever a decoder raises becomes one line that names the file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except ImportError:
        raise
    except Exception as error:  # decoders raise OSError, SyntaxError, struct.error, EOFError and their own
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(f"{path}: expected {expected}, got one that cannot be read ({reason})") from error


def _pixels(image: Image.Image) -> Tensor:
    """A Pillow picture as "3 h w" in [0, 1], upright, its transparent parts filled with paper."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # 16-bit grey, which convert() would clip
        grey = torch.from_numpy(np.asarray(image).astype(np.float32) / 65535)
        return repeat(grey.clamp(0, 1), "h w -> c h w", c=3)
    rgba = torch.from_numpy(np.asarray(image.convert("RGBA")).astype(np.float32) / 255)
    rgb, alpha = rearrange(rgba[..., :3], "h w c -> c h w"), rgba[..., 3]
    drawn = (reduce(rgb, "c h w -> h w", "mean") * alpha).sum() / alpha.sum().clamp(min=1e-6)
    paper = float(drawn < 0.5)  # dark ink on nothing is meant for white paper, light ink for black
    return rgb * alpha + paper * (1 - alpha)


def _gif_frames(data: bytes) -> tuple[list[Tensor], list[float], float]:
    """The frames of the first second, when each starts, and when the last one ends, in seconds."""
    frames, starts, end = [], [], 0.0
    with Image.open(io.BytesIO(data)) as gif:
        for frame in ImageSequence.Iterator(gif):
            _check_total(len(frames) + 1, gif.width, gif.height)
            frames.append(_pixels(frame))
            starts.append(end)
            end += (frame.info.get("duration") or 100) / 1000  # browsers show a frame of 0 ms for 100
            if end >= 1:
                break
    return frames, starts, end


def _mp4_frames(data: bytes) -> tuple[list[Tensor], list[float], float]:
    """As `_gif_frames`, for whatever PyAV reads."""
    frames, starts, end = [], [], 0.0
    with _pyav().open(io.BytesIO(data)) as container:
        step = 1 / float(container.streams.video[0].average_rate or 25)
        for frame in container.decode(video=0):
            _check_total(len(frames) + 1, frame.width, frame.height)
            pixels = torch.from_numpy(frame.to_ndarray(format="rgb24"))
            frames.append(rearrange(pixels, "h w c -> c h w") / 255)
            starts.append(end)
            end += step
            if end >= 1:
                break
    if not frames:
        raise ValueError("it has no frames")
    return frames, starts, end


def _check_total(frames: int, width: int, height: int) -> None:
    if frames * width * height > MAX_PIXELS:
        raise ValueError(f"more than {MAX_PIXELS:,} pixels in its first second")


def _pyav():
    try:
        import av
    except ImportError:
        raise ImportError("MP4 needs PyAV: pip install 'codi-minimal[video]', or use GIF") from None
    return av


def _bytes_of(pixels: Tensor, ndim: int, upscale: int) -> np.ndarray:
    """Pixels in [0, 1], "... 3 h w", as bytes "... h w 3"."""
    if pixels.ndim != ndim or pixels.shape[-3] != 3 or not torch.isfinite(pixels).all():
        raise ValueError(f"expected finite pixels of shape (..., 3, h, w), got {tuple(pixels.shape)} or NaN")
    pixels = repeat(pixels.detach().cpu(), "... c h w -> ... (h k) (w l) c", k=upscale, l=upscale)
    return (pixels.clamp(0, 1) * 255).round().to(torch.uint8).numpy()
