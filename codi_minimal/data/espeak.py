"""Voices of the speech synthesizer espeak-ng (a package of Debian and Homebrew), for those who have it.

C_audio can be trained on them, beside the six speakers of the data. Nothing needs them.
"""

import io
import logging
import random
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import soundfile
import torch
from torch import Tensor
from torchaudio.functional import resample

from .scenes import DIGITS
from .voices import RATE, trim

ACCENTS = ("en-us", "en-gb", "en-gb-scotland", "en-gb-x-gbclan", "en-gb-x-rp", "en-gb-x-gbcwmd", "en-029", "en-us-nyc")
PITCHES, PACES = (15, 90), (110, 230)  # of 0 … 99; words a minute
# no training has these variants, nor an accent without a variant: `experiment strangers` asks for them
HELD_OUT_VARIANTS = ("f1", "f2", "f3", "f4", "m1", "m3", "m7")
_log = logging.getLogger(__name__)


def installed() -> bool:
    """Whether the program is on the path."""
    return shutil.which("espeak-ng") is not None


def variants() -> list[str]:
    """The names of voices for training. Each can speak with every accent."""
    lines = _run("--voices=variant").decode().splitlines()[1:]
    names = {line.split("!v/")[1].partition("  ")[0].strip() for line in lines if "!v/" in line}
    return sorted(names - set(HELD_OUT_VARIANTS))


def speak(text: str, voice: str, pitch: int = 50, pace: int = 175) -> tuple[Tensor, int]:
    """Samples "n" in [-1, 1] and their rate.

    Args:
        voice: an accent, or accent+variant. pitch: 0 … 99. pace: words a minute.
    """
    wave, rate = soundfile.read(io.BytesIO(_run("-v", voice, "-p", str(pitch), "-s", str(pace), "--stdout", text)))
    return torch.from_numpy(wave).float(), rate


def synthetic_voices(takes: int = 3, seed: int = 0) -> tuple[list[Tensor], list[int]]:
    """`takes` recordings of each digit by each variant, of random accent, pitch and pace, trimmed; and their digits.

    They are made in half a minute. Where espeak-ng is not installed, there are none, and a warning is logged.
    """
    if not installed():
        _log.warning("espeak-ng is not installed: C_audio is trained on the recordings of the data alone")
        return [], []
    rng, jobs = random.Random(seed), []
    for variant in variants():
        for digit in [*range(len(DIGITS))] * takes:
            jobs.append((digit, f"{rng.choice(ACCENTS)}+{variant}", rng.randint(*PITCHES), rng.randint(*PACES)))
    with ThreadPoolExecutor() as pool:
        return list(pool.map(_recording, jobs)), [digit for digit, *_ in jobs]


def _recording(job: tuple[int, str, int, int]) -> Tensor:
    digit, *spoken = job
    wave, rate = speak(DIGITS[digit], *spoken)
    return torch.from_numpy(trim(resample(wave, rate, RATE).numpy()))


def _run(*arguments: str) -> bytes:
    done = subprocess.run(["espeak-ng", *arguments], capture_output=True)
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip().splitlines()[:1]
        raise ValueError(f"espeak-ng {' '.join(arguments)}: expected a recording, got {''.join(reason) or 'an error'}")
    return done.stdout
