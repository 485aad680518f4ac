"""Files that cannot be used: one line that names them, little memory and time, and no other program or decoder."""

import os
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from PIL import EpsImagePlugin, Image

from codi_minimal import media
from tests.media.making import POSTSCRIPT, drawing, png_header

SDP = (
    b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    b"m=video 5004 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
)


def png(**options):
    return lambda path: drawing(**options).save(path)


def truncated(path):
    drawing().save(path)
    path.write_bytes(path.read_bytes()[:400])


def wav(array, rate=8000):
    return lambda path: soundfile.write(path, np.asarray(array, dtype=np.float32), rate, subtype="FLOAT")


def raw(data):
    return lambda path: path.write_bytes(data)


def picture(format):
    return lambda path: drawing().save(path, format=format)


def sound(format, rate=8000, channels=1, seconds=1):
    def make(path):
        with soundfile.SoundFile(path, "w", rate, channels, format=format) as file:
            for _ in range(seconds):
                file.write(np.zeros((rate, channels)))

    return make


def tagged(path):
    """AIFF behind the tag that MP3 files begin with."""
    sound("AIFF")(path)
    path.write_bytes(b"ID3\x03\0\0\0\0\0\x0a" + bytes(10) + path.read_bytes())


def claims(width, height, progressive=False):
    """A JPEG of 64 x 64 pixels whose header claims another size."""

    def make(path):
        Image.new("RGB", (64, 64)).save(path, progressive=progressive)
        data = bytearray(path.read_bytes())
        at = data.index(b"\xff\xc2" if progressive else b"\xff\xc0") + 5
        data[at : at + 4] = struct.pack(">HH", height, width)
        path.write_bytes(data)

    return make


def beyond(path):
    """A GIF of 8 x 8 whose second frame is 12 x 12."""
    frames = [Image.new("L", (size, size), size) for size in (8, 12)]
    frames[1].save(path, save_all=True, append_images=[frames[0].resize((12, 12))])
    data = bytearray(path.read_bytes())
    data[6:10] = struct.pack("<HH", 8, 8)  # the screen
    at = data.index(b"\x2c\0\0\0\0\x0c\0\x0c\0") + 5
    data[at : at + 4] = struct.pack("<HH", 8, 8)  # the first frame
    path.write_bytes(data)


def flicker(frames, width, height):
    """A GIF of frames of one colour, 20 a second."""

    def make(path):
        shades = [Image.new("L", (width, height), i % 2) for i in range(frames)]
        shades[0].save(path, save_all=True, append_images=shades[1:], duration=50)

    return make


def blank(width, height, **options):
    return lambda path: Image.new("RGBA", (width, height)).save(path, **options)


def stuffed(filling, times, at):
    """A picture of 64 x 64 with some bytes put many times into its file."""

    def make(path):
        Image.new("RGB", (64, 64)).save(path)
        data = path.read_bytes()
        path.write_bytes(data[:at] + filling * times + data[at:])

    return make


def mp4(width, height):
    def make(path):
        with av.open(str(path), "w", format="mp4") as container:
            stream = container.add_stream("libx264", rate=8, options={"preset": "ultrafast"})
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            frame = av.VideoFrame.from_ndarray(np.zeros((height, width, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
            container.mux(stream.encode())

    return make


def mp4_of_sound(seconds):
    def make(path):
        with av.open(str(path), "w", format="mp4") as container:
            stream = container.add_stream("aac", rate=8000)
            frame = av.AudioFrame.from_ndarray(np.zeros((1, seconds * 8000), np.float32), format="fltp", layout="mono")
            frame.rate = 8000
            container.mux(stream.encode(frame))
            container.mux(stream.encode())

    return make


BAD = [
    (media.read_image, "gone.png", lambda path: None, "no such file"),
    (media.read_image, "folder.png", lambda path: path.mkdir(), "a folder"),
    (media.read_image, "empty.png", raw(b""), "bytes, got 0"),
    (media.read_image, "corrupt.png", raw(b"this is no picture"), "cannot be read (cannot identify image file)"),
    (media.read_image, "truncated.png", truncated, "cannot be read"),
    (media.read_image, "notes.docx", raw(b"x"), "got the ending '.docx'"),
    (media.read_image, "bare", raw(b"x"), "got the ending ''"),
    (media.read_image, "blank.png", png(ink=(255, 255, 255)), "blank picture"),
    (media.read_image, "big.png", raw(png_header(9000, 9000)), "9000 x 9000 is more than"),
    (media.read_image, "bomb.png", raw(png_header(60000, 60000)), "cannot be read"),
    (media.read_image, "tall.png", raw(png_header(1, 13_000_000)), "1 x 13000000 is more than"),
    (media.read_image, "scan.png", raw(png_header(4000, 3999)), "4000 x 3999 is more than 13,000,000"),
    (media.read_image, "claims.jpg", claims(8000, 7999), "8000 x 7999 is more than"),
    (media.read_image, "slow.jpg", claims(7000, 7000, progressive=True), "7000 x 7000 is more than 13,000,000"),
    (media.read_image, "tiff.png", picture("TIFF"), "cannot be read"),
    (media.read_image, "ppm.jpg", picture("PPM"), "cannot be read"),
    (media.read_image, "gif.png", picture("GIF"), "cannot be read"),
    (media.read_audio, "silence.wav", wav(np.zeros(4000)), "got silence"),
    (media.read_audio, "none.wav", wav(np.zeros(0)), "no sound"),
    (media.read_audio, "nan.wav", wav([0.1, float("nan")] * 2000), "NaN"),
    (media.read_audio, "inf.wav", wav([0.1, float("inf")] * 2000), "infinite"),
    (media.read_audio, "slow.wav", wav(np.sin(np.arange(500)), 100), "samples a second"),
    (media.read_audio, "long.wav", wav(np.ones(61 * 8000)), "more than 60 s"),
    (media.read_audio, "corrupt.wav", raw(b"RIFF____WAVE"), "cannot be read (Error opening:"),
    (media.read_audio, "picture.wav", raw(png_header(4, 4)), "cannot be read (Format not recognised.)"),
    (media.read_audio, "aiff.wav", sound("AIFF"), "cannot be read"),
    (media.read_audio, "caf.ogg", sound("CAF"), "cannot be read"),
    (media.read_audio, "tagged.mp3", tagged, "AIFF is none of WAV"),
    (media.read_audio, "many.ogg", sound("OGG", channels=9), "9 channels are more than 8"),
    (media.read_audio, "bomb.flac", sound("FLAC", 192_000, 8, 59), "more than 60 s or 24,000,000 samples"),
    (media.read_video, "corrupt.gif", raw(b"GIF89a"), "cannot be read"),
    (media.read_video, "png.gif", picture("PNG"), "cannot be read"),
    (media.read_video, "beyond.gif", beyond, "frames of 8 x 8 and of 12 x 12"),
    (media.read_video, "large.gif", flicker(2, 4000, 2500), "4000 x 2500 is more than"),
    (media.read_video, "a.avi", raw(b"x"), "got the ending '.avi'"),
    (media.read_text, "empty.txt", raw(b" \n "), "white space"),
    (media.read_text, "latin.txt", raw(b"\xff\xfe\xfa"), "cannot be read"),
]
BAD_MP4 = [
    (media.read_video, "corrupt.mp4", raw(b"not a film"), "cannot be read"),
    (media.read_video, "gif.mp4", picture("GIF"), "cannot be read"),
    (media.read_video, "stream.mp4", raw(SDP), "cannot be read"),
    (media.read_video, "sound.mp4", mp4_of_sound(1), "it has no pictures"),
    (media.read_video, "large.mp4", mp4(4096, 2304), "4096 x 2304 is more than"),
    (media.read_video, "playlist.webm", raw(b"#EXTM3U\nfile.mp4\n"), "cannot be read"),
    (media.read_audio, "corrupt.m4a", raw(b"not a song"), "cannot be read"),
    (media.read_audio, "silent.mov", mp4(64, 64), "it has no sound"),
    (media.read_audio, "long.m4a", mp4_of_sound(61), "more than 60 s"),
]


@pytest.mark.parametrize(("read", "name", "make", "message"), BAD + BAD_MP4, ids=[case[1] for case in BAD + BAD_MP4])
def test_bad_files_get_one_line_that_names_them(tmp_path, read, name, make, message):
    make(tmp_path / name)
    start = time.monotonic()
    with pytest.raises(ValueError, match="expected|more than") as caught:
        read(tmp_path / name)
    text = str(caught.value)
    assert (
        text.startswith(str(tmp_path / name)) and message in text and "\n" not in text and " object at 0x" not in text
    )
    assert time.monotonic() - start < 10  # a stream in the network would be waited for 40 s


def test_huge_files_are_refused_unread(tmp_path):
    with open(tmp_path / "a.wav", "wb") as file:
        file.truncate(media.MAX_BYTES + 1)  # sparse: nothing is written
    with pytest.raises(ValueError, match="50,000,001"):
        media.read_audio(tmp_path / "a.wav")


@pytest.mark.skipif(os.name != "posix", reason="the program that stands in for gs is a shell script")
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.bmp", "a.webp", "a.gif"])
def test_no_file_runs_a_program(tmp_path, monkeypatch, name):
    (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch {tmp_path}/called\n", encoding="utf-8")
    (tmp_path / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None, raising=False)  # looked for again
    (tmp_path / name).write_bytes(POSTSCRIPT)
    with pytest.raises(ValueError, match="cannot be read"):
        media.READERS["video" if name == "a.gif" else "image"](tmp_path / name)
    assert not (tmp_path / "called").exists()


MEASURE = """
import sys, time
from codi_minimal import media

def highest():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1000  # MB

before = highest()
for path in sys.argv[1:]:
    start, read = time.process_time(), media.read_image
    read = media.read_audio if path.endswith(("flac", "ogg")) else read
    read = media.read_video if path.endswith(("gif", "mp4")) else read
    try:
        read(path)
        print(path, "was read")
    except ValueError as error:
        print(f"{error}: {highest() - before:.0f} MB {time.process_time() - start:.1f} s")
        assert highest() - before < 300 and time.process_time() - start < 2
"""
BOMBS = {
    "header.png": raw(png_header(8000, 7999)),
    "tall.png": raw(png_header(1, 64_000_000)),
    "claims.jpg": claims(8000, 7999),
    "blank.png": blank(3600, 3600, compress_level=1),  # 13 million pixels: decoded, and then refused
    "blank.webp": blank(3600, 3600, lossless=True, quality=0),
    "large.gif": flicker(4, 4000, 3999),
    "quick.gif": flicker(8, 2900, 2900),
    "bomb.flac": sound("FLAC", 192_000, 8, 59),
    "segments.jpg": stuffed(b"\xff\xe5\0\2", 12_000_000, 2),
    "padded.jpg": stuffed(b"\xff", 48_000_000, 2),
    "exif.jpg": stuffed(b"\xff\xe1\xff\xf0Exif\0\0" + bytes(65_512), 730, 2),
    "chunks.png": stuffed(b"\0\0\0\0abCd" + struct.pack(">I", zlib.crc32(b"abCd")), 4_000_000, 33),
    "comments.gif": stuffed(b"\x21\xfe\0", 16_000_000, -1),
    "silence.flac": sound("FLAC", 48_000, 8, 59),
}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the peak of memory is kept in another place")
def test_refused_files_take_little_memory_and_time(tmp_path):
    for name, make in BOMBS.items():
        make(tmp_path / name)
    paths = [str(tmp_path / name) for name in BOMBS]
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", MEASURE, *paths]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "was read" not in done.stdout and "more than 240 frames or 64,000,000 pixels" in done.stdout
