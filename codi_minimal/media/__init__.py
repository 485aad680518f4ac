"""Ordinary files in and out: PNG, JPEG, WebP, BMP, WAV, FLAC, OGG, MP3, GIF, MP4 and TXT.

Readers fit what they find to the world (see `fitting`). They raise a ValueError of one line that names the
file, what was expected and what came. A reader opens only the formats that it names, whatever the file's
ending claims, and it checks a file's size on its header, before it decodes anything. Writers take what
`CoDi.generate` returns, one sample at a time.
"""

from .clips import VIDEO_FILE, read_video
from .files import MAX_BYTES
from .pictures import IMAGE_FILE, read_image
from .recordings import AUDIO_FILE, read_audio
from .texts import TEXT_FILE, read_text
from .writers import FPS, WRITERS, write_gif, write_mp4, write_png, write_sample, write_text, write_wav

READERS = {"text": read_text, "image": read_image, "audio": read_audio, "video": read_video}

__all__ = [
    "AUDIO_FILE", "FPS", "IMAGE_FILE", "MAX_BYTES", "READERS", "TEXT_FILE", "VIDEO_FILE", "WRITERS", "read_audio",
    "read_image", "read_text", "read_video", "write_gif", "write_mp4", "write_png", "write_sample", "write_text",
    "write_wav",
]  # fmt: skip
