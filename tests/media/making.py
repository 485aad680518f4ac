"""Drawings, clips and voices for the tests of files."""

import struct
import zlib
from fractions import Fraction

import av
import numpy as np
import torch
from PIL import Image, ImageDraw

RED = torch.tensor([1.0, 0.15, 0.15])
# a PostScript file, which Pillow hands to the program `gs` if it may
POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\nshowpage\n%%EOF\n"

CODECS = {".mp4": ("libx264", "aac"), ".mov": ("libx264", "aac"), ".webm": ("libvpx", "libopus")}
RATE = 48_000
BEGINS = 3.3  # s: when the voice of a film starts


def drawing(size=(300, 400), paper=(255, 255, 255), ink=(0, 0, 0), box=(200, 60, 260, 240), width=24):
    """A seven: a bar on top and a slanted stroke."""
    image = Image.new("RGB", size, paper)
    left, top, right, bottom = box
    points = [(left, top), (right, top), (left + (right - left) // 3, bottom)]
    ImageDraw.Draw(image).line(points, fill=ink, width=width, joint="curve")
    return image


def large_drawing():
    """The same seven, as a picture that is made smaller before tensors are made of it."""
    return drawing((2400, 3200), box=(1600, 480, 2080, 1920), width=192)


def moving_square():
    video = torch.zeros(8, 3, 32, 32)
    for i in range(8):
        video[i, :, 10:20, 4 + 2 * i : 12 + 2 * i] = RED[:, None, None]
    return video


def film(path, seconds=5, fps=20, keys=40, sound=True, pictures=True, begins=BEGINS, hole=(0, 0)):
    """In each second a square goes to the right, in red, green and blue by turns; from `begins` on there is a tone."""
    ending = path.suffix
    video_codec, audio_codec = CODECS.get(ending, CODECS[".mp4"])
    with av.open(str(path), "w", format={".mov": "mov", ".webm": "webm"}.get(ending, "mp4")) as container:
        if pictures:
            stream = container.add_stream(video_codec, rate=fps, options={"g": str(keys), "sc_threshold": "0"})
            stream.width = stream.height = 64
            stream.pix_fmt = "yuv420p"
        if sound:
            track = container.add_stream(audio_codec, rate=RATE, layout="stereo")
        for i in range(seconds * fps if pictures else 0):
            pixels = np.zeros((64, 64, 3), np.uint8)
            left = 2 * (i % fps)
            pixels[20:44, left : left + 20, i // fps % 3] = 250
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        if pictures:
            container.mux(stream.encode())
        if sound:
            t = np.arange(seconds * RATE) / RATE
            tone = (0.5 * np.sin(2 * np.pi * 440 * t) * (t > begins)).astype(np.float32)
            for i in range(0, len(tone), 960):
                if hole[0] * RATE <= i < hole[1] * RATE:  # nothing is written
                    continue
                frame = av.AudioFrame.from_ndarray(np.stack([tone[i : i + 960]] * 2), format="fltp", layout="stereo")
                frame.rate, frame.pts, frame.time_base = RATE, i, Fraction(1, RATE)
                container.mux(track.encode(frame))
            container.mux(track.encode())
    return path


def voice(rate, seconds=0.5, lead=0.3, after=0.0):
    """A tone of 440 Hz between two silences."""
    t = torch.arange(int(seconds * rate)) / rate
    tone = 0.3 * torch.sin(2 * torch.pi * 440 * t)
    return torch.cat([torch.zeros(int(lead * rate)), tone, torch.zeros(int(after * rate))])


def png_header(width, height):
    """A PNG of a few bytes that claims to be of this size."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
