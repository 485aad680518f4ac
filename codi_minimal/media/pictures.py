"""Reads pictures, and turns Pillow's images into tensors."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from PIL import Image, ImageOps
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor, to_tensor

from codi_minimal.fitting import fit_image

from .files import Content, read

PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
FORMATS = ("PNG", "JPEG", "WEBP", "BMP")  # Pillow knows many more, and starts a program of its own for PostScript
MAX_PIXELS = 51_000_000  # in the header: a phone's 50 megapixels
MAX_DECODED = 13_000_000  # in memory
MAX_SIDE = 20_000  # Pillow keeps a pointer for each row
MAX_EXIF = 100  # segments of a JPEG; Pillow joins them one by one, in quadratic time
AREA = 2_000_000  # pixels of which tensors are made


def read_image(path: str | Path, fit: Callable[[Tensor], Tensor] = fit_image) -> Tensor:
    """A picture of any size as an image; see `fit_image`, or another `fit`.

    A picture has at most 13 million pixels, no more than 20,000 on a side. An ordinary JPEG may have 51 million,
    because it can be decoded at a half to an eighth of its size; a progressive one cannot.
    """
    return read(path, "a picture", PICTURE_ENDINGS, lambda data: as_pixels([_decode(data)])[0], fit)


def _decode(data: bytes) -> Image.Image:
    """The picture, made smaller. The decoder's memory is free again before tensors are made."""
    if data.count(b"Exif\0\0") > MAX_EXIF:
        raise ValueError(f"it has more than {MAX_EXIF} segments of Exif")
    with Image.open(Content(data), formats=FORMATS) as image:
        check_size(image.size, MAX_PIXELS)
        if "progressive" not in image.info:
            image.draft(None, tuple(n // _excess(image.size, AREA) for n in image.size))
        check_size(image.size, MAX_DECODED)
        image.load()
        return shrink(image, AREA)


def check_size(size: tuple[int, int], most: int) -> None:
    """ValueError if a picture of this width and height has more than `most` pixels or too long a side."""
    if math.prod(size) > most or max(size) > MAX_SIDE:
        raise ValueError(f"{size[0]} x {size[1]} is more than {most:,} pixels or {MAX_SIDE:,} on a side")


def shrink(image: Image.Image, area: int) -> Image.Image:
    """The picture, averaged over squares of pixels so that it has at most `area` pixels; a small one as it is."""
    if (factor := _excess(image.size, area)) == 1:
        return image
    if image.mode.startswith("I"):
        image = image.convert("I")
    elif image.mode in ("1", "P", "PA"):
        image = image.convert("RGBA")  # the mean of two numbers of a palette is another colour
    return image.reduce(factor)


def as_pixels(images: Sequence[Image.Image]) -> Tensor:
    """Pillow's pictures of one size as "n 3 h w" in [0, 1], upright, all on one paper where they are transparent."""
    rgba = torch.stack([_rgba(image) for image in images])
    rgb, alpha = rgba[:, :3], rgba[:, 3:]
    drawn = (rgb * alpha).sum() / (3 * alpha.sum()).clamp(min=1e-6)
    paper = float(drawn < 0.5)  # dark ink on nothing is meant for white paper, light ink for black
    return rgb * alpha + paper * (1 - alpha)


def _rgba(image: Image.Image) -> Tensor:
    """One picture, upright, as "4 h w" in [0, 1]."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # 16-bit grey, which convert() would clip
        grey = (pil_to_tensor(image).float() / 65535).clamp(0, 1)
        return torch.cat([grey, grey, grey, torch.ones_like(grey)])
    return to_tensor(image.convert("RGBA"))


def _excess(size: tuple[int, int], area: int) -> int:
    """By which whole number both sides must be divided so that at most `area` pixels remain."""
    return math.ceil(math.sqrt(math.prod(size) / area))
