"""Clips: read by time, upright, and fitted to eight frames."""

import struct
from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from PIL import Image

from codi_minimal import media
from tests.media.making import RED, drawing, moving_square

IDENTITY = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)


def turned(path, a, b, c, d):
    """Notes in an MP4 that a player must show (x, y) at (a x + c y, b x + d y), moved into sight; y is downwards."""
    data = path.read_bytes()
    at = data.index(IDENTITY, data.index(b"tkhd"))
    a, b, c, d = (round(65536 * n) for n in (a, b, c, d))
    matrix = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data[:at] + matrix + data[at + len(matrix) :])


def test_a_clip_of_any_length_gives_the_eight_moments_of_its_first_second(tmp_path):
    levels = [int(255 * (i + 1) / 40) for i in range(40)]
    frames = [Image.new("RGB", (60, 40)) for _ in levels]
    for frame, level in zip(frames, levels, strict=True):
        frame.paste((level, level, level), (20, 10, 40, 30))
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=50)  # 2 s
    peaks = media.read_video(tmp_path / "a.gif").amax((1, 2, 3)) * 40
    expected = [20 * (k + 0.5) / 8 // 1 + 1 for k in range(8)]
    assert torch.allclose(peaks, torch.tensor(expected), atol=0.3)


def test_a_clip_on_paper_is_turned_light_on_black(tmp_path):
    frames = [drawing(ink=(120, 18, 18), box=(120 + 5 * i, 100, 180 + 5 * i, 280)) for i in range(8)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=125)
    video = media.read_video(tmp_path / "a.gif")
    assert video[:, :, 0].max() < 0.05
    assert (video[3].amax((1, 2)) - RED).abs().max() < 0.1
    assert video[7].mean((0, 1)).argmax() > video[0].mean((0, 1)).argmax()


TURNS = [(0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0)]
MIRRORS = [(-1, 0, 0, 1), (1, 0, 0, -1), (0, 1, 1, 0), (0, -1, -1, 0)]


@pytest.mark.parametrize("matrix", TURNS + MIRRORS)
def test_a_clip_is_turned_and_mirrored_as_its_camera_noted(tmp_path, matrix):
    path = media.write_mp4(tmp_path / "a.mp4", moving_square())
    plain = media.read_video(path)
    turned(path, *matrix)
    a, b, c, d = matrix
    y, x = np.mgrid[:32, :32]
    to_x, to_y = a * x + c * y, b * x + d * y
    shown = torch.empty_like(plain)
    shown[..., to_y - to_y.min(), to_x - to_x.min()] = plain[..., y, x]
    assert (media.read_video(path) - shown).abs().max() < 0.02


@pytest.mark.parametrize("matrix", [(0, 0, 0, 0), (1, 0, 1, 0), (0, 0, 0, -1), (-0.7, 0.7, -0.7, -0.7)])
def test_a_matrix_that_turns_by_no_multiple_of_ninety_degrees_is_ignored(tmp_path, matrix):
    path = media.write_mp4(tmp_path / "a.mp4", moving_square())
    plain = media.read_video(path)
    turned(path, *matrix)
    assert torch.equal(media.read_video(path), plain)


def write_frames(path, times, colours):
    """An MP4 of frames of one colour on black, each at its own time in milliseconds."""
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width = stream.height = 64
        stream.pix_fmt, stream.codec_context.time_base = "yuv420p", Fraction(1, 1000)
        for time, colour in zip(times, colours, strict=True):
            pixels = np.zeros((64, 64, 3), np.uint8)
            pixels[16:48, 16:48] = colour
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def test_frames_of_an_mp4_are_shown_at_their_own_times(tmp_path):
    times = [0, 20, 40, 60, 80, 240, 500, 900, 1100]
    write_frames(tmp_path / "a.mp4", times, [(255, 0, 0)] * 5 + [(0, 0, 255)] * 4)
    video = media.read_video(tmp_path / "a.mp4")
    assert video.mean((2, 3)).argmax(1).tolist() == [0, 0, 2, 2, 2, 2, 2, 2]


def test_a_short_mp4_is_seen_to_its_end(tmp_path):
    write_frames(tmp_path / "a.mp4", [0, 100, 200, 300], [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 0, 0)])
    assert media.read_video(tmp_path / "a.mp4").mean((2, 3)).argmax(1).tolist()[:6] == [0, 0, 1, 1, 2, 2]


def test_a_large_clip_is_made_smaller_and_shows_the_same(tmp_path):
    small = [Image.new("RGB", (64, 48)) for _ in range(8)]
    for i, frame in enumerate(small):
        frame.paste((255, 38, 38), (12 + 4 * i, 16, 20 + 4 * i, 32))
    for name, frames in {"a.gif": small, "b.gif": [frame.resize((1600, 1200), 0) for frame in small]}.items():
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], duration=125)
    small, large = media.read_video(tmp_path / "a.gif"), media.read_video(tmp_path / "b.gif")
    assert (small - large).abs().mean() < 0.002 and (small - large).abs().max() < 0.2


@pytest.mark.parametrize(("inks", "paper"), [([200] * 6 + [90] * 2, 0), ([50] * 6 + [160] * 2, 255)])
def test_a_transparent_clip_is_laid_on_one_paper(tmp_path, inks, paper):
    for name, background in {"transparent.gif": (0, 0, 0, 0), "opaque.gif": (paper, paper, paper, 255)}.items():
        frames = [Image.new("RGBA", (64, 64), background) for _ in inks]
        for i, (frame, ink) in enumerate(zip(frames, inks, strict=True)):
            frame.paste((ink, ink, ink, 255), (12 + 4 * i, 16, 20 + 4 * i, 32))
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], duration=125, disposal=2)
    read = [media.read_video(tmp_path / name) for name in ("transparent.gif", "opaque.gif")]
    assert (read[0] - read[1]).abs().max() < 0.02
