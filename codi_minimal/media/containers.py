"""Frames and sound of MP4, QuickTime and WebM files, with PyAV."""

import io
import math
from collections.abc import Iterator
from itertools import chain, pairwise
from typing import Any

import av
import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from .pictures import check_size

# without a format, the content would choose the reader: a playlist, or a stream in the network
CONTAINER_FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mp4", ".m4a": "mp4", ".webm": "webm"}
MAX_FRAME = 9_000_000  # pixels: "4K"
MAX_SKIPPED = 600_000_000  # pixels of the frames that are decoded before the start, from the last key frame on
HOLE = 0.02  # s without sound; times are less exact than this
MAX_CHANNELS, MAX_SAMPLES = 8, 24_000_000  # samples of all channels together


def frames(data: bytes, ending: str, start: float = 0.0) -> Iterator[tuple[Image.Image, float, float]]:
    """Each frame that is shown after `start`, upright, and from when to when, in seconds since `start`."""
    with _opened(data, ending) as container:
        if not container.streams.video:
            raise ValueError("it has no pictures")
        stream = container.streams.video[0]
        check_size((stream.width, stream.height), MAX_FRAME)
        stream.codec_context.options = container.options
        zero = _seek(container, stream, start)
        last = float((stream.duration or 0) * stream.time_base) - start
        skipped = 0
        for frame, after in pairwise(chain(container.decode(stream), [None])):
            begin = _time(frame) - zero
            end = _time(after) - zero if after else max(last, begin + 1 / float(stream.average_rate or 25))
            if end > 0:
                yield _upright(frame.to_image(), frame.side_data.get("DISPLAYMATRIX")), begin, end
            elif (skipped := skipped + frame.width * frame.height) > MAX_SKIPPED:
                raise ValueError(f"more than {MAX_SKIPPED:,} pixels between a key frame and its second at {start:g} s")


def sound(data: bytes, ending: str, start: float | None, seconds: float) -> tuple[Tensor, int]:
    """Samples "n c" of the sound track, and their rate: `seconds` from `start`, or all of them if there is no start.

    ValueError: there is no sound track, or it is longer than `seconds`.
    """
    with _opened(data, ending) as container:
        if not container.streams.audio:
            raise ValueError("it has no sound")
        stream = container.streams.audio[0]
        if stream.channels > MAX_CHANNELS:
            raise ValueError(f"{stream.channels} channels are more than {MAX_CHANNELS}")
        zero, planes = _seek(container, stream, start or 0.0), av.AudioResampler(format="fltp")
        most, pieces, held, decoded = math.ceil(seconds * stream.rate), [], 0, 0
        for frame in container.decode(stream):
            decoded += frame.samples * stream.channels
            if decoded > MAX_SAMPLES or (start is None and held > most):
                raise ValueError(f"it holds more than {seconds:g} s or {MAX_SAMPLES:,} samples")
            at = round((_time(frame) - zero) * stream.rate)
            new = [torch.from_numpy(part.to_ndarray()[:, max(0, -at) :].copy()) for part in planes.resample(frame)]
            if start is not None and new and (hole := min(at, most) - held) > HOLE * stream.rate:
                new = [new[0].new_zeros(len(new[0]), hole), *new]  # the track starts late, or has a gap
            pieces, held = pieces + new, held + sum(piece.shape[1] for piece in new)
            if start is not None and held >= most:
                break
        wave = torch.cat(pieces, dim=1).T if pieces else torch.zeros(0, 1)
        return (wave if start is None else wave[:most]), stream.rate


def _opened(data: bytes, ending: str) -> Any:
    """The container in these bytes. Its codecs check the size of a frame before they take memory."""
    return av.open(io.BytesIO(data), format=CONTAINER_FORMATS[ending], options={"max_pixels": str(MAX_FRAME)})


def _seek(container: Any, stream: Any, start: float) -> float:
    """Go to the last key frame at or before `start`. Returns what `start` is in the file's own times."""
    zero = (container.start_time or 0) / av.time_base + start
    if start > 0:
        container.seek(int(zero / stream.time_base), stream=stream)
    return zero


def _time(frame: Any) -> float:
    """When a frame is shown, in seconds."""
    if frame.time is None:
        raise ValueError("a frame has no time")
    return frame.time


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
