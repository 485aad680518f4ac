"""What is seen of a sample, as HTML with everything inside: results are never files on the server."""

import base64
import html
import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from einops import rearrange
from matplotlib import colormaps
from PIL import Image
from torch import Tensor

from codi_minimal.config import MODALITIES
from codi_minimal.media import write_mp4, write_sample, write_wav
from codi_minimal.play.request import Request
from codi_minimal.sample import Stream

PIXEL = 6  # px of the page for one of a picture


def quote(text: str, scale: int = PIXEL) -> str:
    """A caption."""
    return f"<blockquote>{html.escape(text) or '…'}</blockquote>"


def picture(pixels: Tensor, scale: int = PIXEL) -> str:
    """An image "3 h w" in [0, 1], each pixel `scale` wide."""
    array = (rearrange(pixels, "c h w -> h w c").clamp(0, 1) * 255).round().byte().cpu().numpy()
    size = (scale * array.shape[1], scale * array.shape[0])
    file = io.BytesIO()
    Image.fromarray(array).resize(size, Image.Resampling.NEAREST).save(file, "PNG")
    return f"<img src='{_url(file.getvalue(), 'image/png')}'>"


def player(wave: Tensor, scale: int = PIXEL) -> str:
    """A recording (n,) at 8 kHz."""
    with TemporaryDirectory() as folder:
        url = _url(write_wav(Path(folder) / "a.wav", wave).read_bytes(), "audio/wav")
    return f"<audio src='{url}' controls></audio>"


def film(frames: Tensor, wave: Tensor | None = None) -> str:
    """A video "f 3 h w", which plays with its sound, if it has one."""
    with TemporaryDirectory() as folder:
        url = _url(write_mp4(Path(folder) / "a.mp4", frames, wave).read_bytes(), "video/mp4")
    return f"<video src='{url}' controls autoplay muted loop playsinline></video>"


def strip(frames: Tensor, scale: int = PIXEL) -> str:
    """A video "f 3 h w", its frames side by side in two rows."""
    return picture(rearrange(frames, "(r f) c h w -> c (r h) (f w)", r=2), max(1, scale // 2))


def spectrogram(mel: Tensor) -> str:
    """A log-mel spectrogram (m, n), roughly in [-1, 1], low frequencies below."""
    rgb = torch.from_numpy(colormaps["magma"](((mel.flip(0) + 1) / 2).clamp(0, 1).cpu().numpy()))[..., :3]
    return picture(rearrange(rgb, "m n c -> c m n"), scale=3)


CARDS: Mapping[str, Callable[..., str]] = {"text": quote, "image": picture, "audio": player, "video": strip}
# what a stream under way shows: a vocoder would take longer than the step
UNDER_WAY: Mapping[str, Callable[[Any, Tensor], str]] = {
    "text": lambda autoencoder, z: quote(autoencoder.decode(z)[0]),
    "image": lambda autoencoder, z: picture(autoencoder.decode(z)[0]),
    "audio": lambda autoencoder, z: spectrogram(autoencoder.decode_mel(z)[0, 0]),
    "video": lambda autoencoder, z: strip(autoencoder.decode(z)[0]),
}


@torch.no_grad()
def preview(streams: Mapping[str, Stream]) -> dict[str, str]:
    """The content of a card for each stream: what its last step took for its end, of the first sample."""
    return {
        name: UNDER_WAY[name](stream.modality.autoencoder, stream.predicted[:1]) for name, stream in streams.items()
    }


def finished(sample: Mapping[str, Any]) -> dict[str, str]:
    """The content of a card for each item of a sample. A video plays with the audio that was generated beside it."""
    moving = {"video": film(sample["video"], sample.get("audio"))} if "video" in sample else {}
    return {name: CARDS[name](item) for name, item in sample.items() if name not in moving} | moving


def thumbnail(name: str, item: Any) -> str:
    """A small one, of what was brought."""
    return CARDS[name](item, scale=2)


def row(cards: Mapping[str, str], title: str = "", done: float | None = None, link: str = "") -> str:
    """Cards side by side, under a title; `done`: the share of the steps that are taken, as a bar."""
    parts = [f"<h3>{html.escape(title)}</h3>"] if title else []
    if done is not None:
        parts.append(f'<progress max="1" value="{done:.3f}"></progress>')
    shown = [name for name in MODALITIES if name in cards]
    figures = (f'<figure class="{name}">{cards[name]}<figcaption>{name}</figcaption></figure>' for name in shown)
    return f'<section class="row">{"".join(parts)}<div class="cards">{"".join(figures)}</div>{link}</section>'


def archive(request: Request, sample: Mapping[str, Any]) -> bytes:
    """A ZIP of the sample and of what was brought, as ordinary files, with the command line that repeats it."""
    file = io.BytesIO()
    with TemporaryDirectory() as folder, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as zipped:
        names, inside = [], Path(folder)
        for i, thing in enumerate(request.brought, 1):
            if isinstance(thing.item, str) and not thing.item.lower().endswith(".txt"):  # which names a file
                names.append(thing.item)
                continue
            (path,) = write_sample(inside, f"brought-{i}", {thing.modality: thing.item}, gif=True)
            names.append(path.name)
        write_sample(inside, "made", sample)
        (inside / "command.txt").write_text(request.command(names) + "\n", encoding="utf-8")
        for path in sorted(inside.iterdir()):
            zipped.write(path, path.name)
    return file.getvalue()


def download(data: bytes, name: str) -> str:
    """A link that saves a ZIP."""
    url = _url(data, "application/zip")
    return f"<a class='save' download='{name}' href='{url}'>Save as ZIP, with the command</a>"


def _url(data: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
