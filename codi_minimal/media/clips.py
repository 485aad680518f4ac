"""Reads clips: GIF, and MP4 with PyAV."""

import io
import math
from collections.abc import Iterator
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, ImageSequence
from torch import Tensor

from codi_minimal.data.scenes import FRAMES
from codi_minimal.fitting import fit_video

from .files import Content, read
from .pictures import as_pixels, check_size, shrink

MAX_FRAME = 9_000_000  # pixels: "4K"
MAX_FRAMES = 240  # in the first second
FRAME_AREA = 131_072  # pixels that are kept of a frame until it is known which frames are wanted

Timed = Iterator[tuple[Image.Image, float, float]]  # a frame, and from when to when it is shown, in seconds


def read_video(path: str | Path) -> Tensor:
    """A clip's first second as the world's video; see `fit_video`.

    The eight frames are those at the middles of eight equal parts of the first second, or of the whole clip if it is
    shorter. A frame has at most 9 million pixels; those of the first second have at most 256 million together in an
    MP4, and 64 million in a GIF. An MP4 without PyAV, the extra `video`, is an ImportError.
    """
    frames, most = CONTAINERS.get(Path(path).suffix.lower(), (None, 0))
    return read(path, "a clip", tuple(CONTAINERS), lambda data: _eight_moments(frames(data), most), fit_video)


def _eight_moments(frames: Timed, most: int) -> Tensor:
    """Eight of the frames of the first second, which have at most `most` pixels together, as "8 3 h w"."""
    shown, starts, end, size = [], [], 0.0, None
    for frame, start, end in frames:
        size = size or frame.size
        if frame.size != size:
            raise ValueError(f"frames of {size[0]} x {size[1]} and of {frame.size[0]} x {frame.size[1]}")
        if len(shown) == MAX_FRAMES or (len(shown) + 1) * math.prod(size) > most:
            raise ValueError(f"more than {MAX_FRAMES} frames or {most:,} pixels in its first second")
        shown.append(shrink(frame, FRAME_AREA))
        starts.append(start)
        if end >= 1:
            break
    if not shown:
        raise ValueError("it has no frames")
    moments = (np.arange(FRAMES) + 0.5) / FRAMES * min(end, 1.0)
    return as_pixels([shown[i] for i in np.searchsorted(starts, moments, side="right") - 1])


def _gif_frames(data: bytes) -> Timed:
    with Image.open(Content(data), formats=("GIF",)) as gif:
        end = 0.0
        for frame in ImageSequence.Iterator(gif):
            check_size(frame.size, MAX_FRAME)
            start, end = end, end + (frame.info.get("duration") or 100) / 1000  # browsers show 0 ms for 100
            yield frame.copy(), start, end


def _mp4_frames(data: bytes) -> Timed:
    options = {"max_pixels": str(MAX_FRAME)}  # checked by each codec before it takes memory
    # without `format`, the content would choose the reader: a playlist, or a stream in the network
    with pyav().open(io.BytesIO(data), format="mp4", options=options) as container:
        if not container.streams.video:
            raise ValueError("it has no pictures")
        stream = container.streams.video[0]
        check_size((stream.width, stream.height), MAX_FRAME)
        stream.codec_context.options = options
        length = float((stream.duration or 0) * stream.time_base)
        first = None
        for frame, after in pairwise(chain(container.decode(stream), [None])):
            first = frame.time if first is None else first
            start = frame.time - first
            end = after.time - first if after else max(length, start + 1 / float(stream.average_rate or 25))
            yield _upright(frame.to_image(), frame.side_data.get("DISPLAYMATRIX")), start, end


def _upright(image: Image.Image, matrix: Any) -> Image.Image:
    """The picture, turned and mirrored as a player does, by a display matrix: (x, y) goes to (a x + c y, b x + d y).

    A matrix that turns it by anything but a multiple of 90 degrees is ignored.
    """
    if matrix is None:
        return image
    a, b, _, c, d = np.rint(np.frombuffer(matrix, np.int32)[:5] / 65536)  # 16.16 fixed point
    if b and c and a == d == 0:
        image, a, d = image.transpose(Image.Transpose.TRANSPOSE), c, b
    elif b or c or not (a and d):
        return image
    image = ImageOps.mirror(image) if a < 0 else image
    return ImageOps.flip(image) if d < 0 else image


def pyav() -> Any:
    """The module of PyAV, or an ImportError that says what to install."""
    try:
        import av
    except ImportError:
        raise ImportError("MP4 needs PyAV: pip install 'codi-minimal[video]', or use GIF") from None
    return av


# how frames are read, and how many pixels those of the first second may have: one of a GIF takes longer
CONTAINERS = {".gif": (_gif_frames, 64_000_000), ".mp4": (_mp4_frames, 256_000_000)}
