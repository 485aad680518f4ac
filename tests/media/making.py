"""Drawings, clips and voices for the tests of files."""

import struct
import zlib

import torch
from PIL import Image, ImageDraw

RED = torch.tensor([1.0, 0.15, 0.15])
# a PostScript file, which Pillow hands to the program `gs` if it may
POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\nshowpage\n%%EOF\n"


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
