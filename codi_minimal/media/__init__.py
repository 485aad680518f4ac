"""Ordinary files in and out: PNG, JPEG, WebP, BMP, WAV, FLAC, OGG, MP3, M4A, GIF, MP4, MOV, WebM and TXT.

Readers fit the content of a file to the world (see `fitting`), or to the formats of its data alone (see `plain`). They
raise a ValueError of one line that names the file, what was expected and what came. A reader opens only the formats
that it names, whatever the file's ending, and it checks the size in the header before it decodes anything. Writers
take one sample of `CoDi.generate`.
"""

from functools import partial

from codi_minimal.fitting import fit_audio, fit_image, fit_video

from .clips import read_video
from .files import MAX_BYTES, read_text
from .pictures import read_image
from .plain import plain_audio, plain_image, plain_video
from .recordings import read_audio
from .writers import write_gif, write_mp4, write_png, write_sample, write_text, write_wav

READERS = {"text": read_text, "image": read_image, "audio": read_audio, "video": read_video}
FITS_OF = {  # by the `fit` of a model's config
    "digits": {"image": fit_image, "audio": fit_audio, "video": fit_video},
    "plain": {"image": plain_image, "audio": plain_audio, "video": plain_video},
}
READERS_OF = {
    kind: READERS | {name: partial(READERS[name], fit=fit) for name, fit in fits.items()}
    for kind, fits in FITS_OF.items()
}

__all__ = [
    "FITS_OF", "MAX_BYTES", "READERS", "READERS_OF", "read_audio", "read_image", "read_text", "read_video", "write_gif",
    "write_mp4", "write_png", "write_sample", "write_text", "write_wav",
]  # fmt: skip
