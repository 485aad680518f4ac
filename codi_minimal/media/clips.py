"""Reads clips: GIF, and MP4, QuickTime and WebM."""

import math
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageSequence
from torch import Tensor

from codi_minimal.data.scenes import FRAMES
from codi_minimal.fitting import fit_video
from codi_minimal.inputs import check_number

from . import containers
from .containers import MAX_FRAME, MAX_SKIPPED
from .files import Content, read
from .pictures import as_pixels, check_size, shrink

MAX_FRAMES = 240  # in one second
FRAME_AREA = 131_072  # pixels that are kept of a frame until it is known which frames are wanted
MAX_START = 36_000  # seconds

Timed = Iterator[tuple[Image.Image, float, float]]  # a frame, and from when to when it is shown, in seconds


def read_video(path: str | Path, start: float = 0.0, fit: Callable[[Tensor], Tensor] = fit_video) -> Tensor:
    """One second of a clip as a video; see `fit_video`, or another `fit`.

    The eight frames are those at the middles of eight equal parts of the second, or of what is left of a clip that ends
    earlier. A frame has at most 9 million pixels; those of the second have at most 256 million together, and 64 million
    in a GIF.

    `start`: when the second begins, in seconds.
    """
    check_number("start", start, 0, MAX_START)
    frames, most = CONTAINERS.get(Path(path).suffix.lower(), (None, 0))

    def decode(data: bytes) -> Tensor:
        return _eight_moments(frames(data, start=start), most)

    return read(path, "a clip", tuple(CONTAINERS), decode, fit)


def _eight_moments(frames: Timed, most: int) -> Tensor:
    """Eight of the frames of one second, which have at most `most` pixels together, as "8 3 h w"."""
    shown, starts, end, size = [], [], 0.0, None
    for frame, begin, end in frames:
        size = size or frame.size
        if frame.size != size:
            raise ValueError(f"frames of {size[0]} x {size[1]} and of {frame.size[0]} x {frame.size[1]}")
        if len(shown) == MAX_FRAMES or (len(shown) + 1) * math.prod(size) > most:
            raise ValueError(f"more than {MAX_FRAMES} frames or {most:,} pixels in one second")
        shown.append(shrink(frame, FRAME_AREA))
        starts.append(begin)
        if end >= 1:
            break
    if not shown:
        raise ValueError("it has no frames there")
    moments = (np.arange(FRAMES) + 0.5) / FRAMES * min(end, 1.0)
    return as_pixels([shown[i] for i in (np.searchsorted(starts, moments, side="right") - 1).clip(min=0)])


def _gif_frames(data: bytes, start: float) -> Timed:
    """Each frame that is shown after `start`, and from when to when, in seconds since `start`."""
    with Image.open(Content(data), formats=("GIF",)) as gif:
        end, skipped = -start, 0
        for frame in ImageSequence.Iterator(gif):
            check_size(frame.size, MAX_FRAME)
            begin, end = end, end + (frame.info.get("duration") or 100) / 1000  # browsers show 0 ms for 100
            if end > 0:
                yield frame.copy(), begin, end
            elif (skipped := skipped + math.prod(frame.size)) > MAX_SKIPPED // 4:
                raise ValueError(f"more than {MAX_SKIPPED // 4:,} pixels before its second at {start:g} s")


# how frames are read, and how many pixels those of a second may have. A GIF takes four times as long
CONTAINERS: dict[str, tuple[Callable[..., Timed], int]] = {
    ".gif": (_gif_frames, 64_000_000),
    **{e: (partial(containers.frames, ending=e), 256_000_000) for e in (".mp4", ".m4v", ".mov", ".webm")},
}
