"""Imitations of what people bring, for `experiment strangers`: voices, handwriting, photographs of type, phrases."""

import io
import json
import random
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from sklearn.datasets import load_digits
from torch import Tensor
from torchvision.transforms.functional import to_tensor

from codi_minimal.data import DIGITS
from codi_minimal.data.acoustics import in_a_room, with_noise
from codi_minimal.data.espeak import speak
from codi_minimal.data.voices import PEAK
from codi_minimal.fitting import fit_audio, fit_image

STRANGE_VOICES = (  # accent and variant, pitch; none of them is in training
    ("en-us", 50), ("en-gb", 50), ("en-gb-scotland", 50), ("en-029", 50), ("en-gb-x-rp", 50), ("en-us+f1", 50),
    ("en-gb+f2", 85), ("en-us+f3", 60), ("en-gb+f4", 70), ("en-us+m1", 20), ("en-us+m3", 35), ("en-us+m7", 45),
)  # fmt: skip
SPOKEN_AT = (130, 175)  # words a minute
FONTS = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSerif", "DejaVuSansMono", "DejaVuSans-Oblique", "cmr10", "STIXGeneral")
SHEET = 480  # px


def voices() -> tuple[Tensor, Tensor, Tensor]:
    """Every digit twice by each voice: recordings (n, 8192), digits (n,) and voices (n,)."""
    rows = []
    for voice, (name, pitch) in enumerate(STRANGE_VOICES):
        for digit, word in enumerate(DIGITS):
            for pace in SPOKEN_AT:
                wave, rate = speak(word, name, pitch, pace)
                quiet = torch.zeros(rate // 5)
                rows.append((fit_audio(torch.cat([quiet, wave, quiet]), rate), digit, voice))
    waves, digits, speakers = zip(*rows, strict=True)
    return torch.stack(waves), torch.tensor(digits), torch.tensor(speakers)


def roomy(waves: Tensor, generator: torch.Generator) -> Tensor:
    """Recordings (n, 8192) in a room that decays in .35 s, 6 dB weaker than the voice, with white noise at 15 dB."""
    n = len(waves)
    wet = in_a_room(waves, torch.full((n,), 0.35), torch.full((n,), 6.0), generator)
    wet = with_noise(wet, torch.randn(wet.shape, generator=generator), torch.full((n,), 15.0))
    return PEAK * wet / wet.abs().amax(dim=1, keepdim=True)


def handwriting() -> tuple[Tensor, Tensor]:
    """All of `load_digits`, enlarged from 8 x 8 px and in black on white paper: images (n, 3, 32, 32), digits (n,)."""
    data = load_digits()
    ink = torch.from_numpy(data.images).float()[:, None] / 16
    ink = F.interpolate(ink, (256, 256), mode="bicubic", align_corners=False).clamp(0, 1)
    sheets = 1 - 0.9 * F.pad(ink, (32, 32, 32, 32)).expand(-1, 3, -1, -1)
    return torch.stack([fit_image(sheet) for sheet in sheets]), torch.from_numpy(data.target)


def photographs(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """n photographs of printed digits: images (n, 3, 32, 32), digits (n,)."""
    rng = random.Random(seed)
    digits = [i % len(DIGITS) for i in range(n)]
    return torch.stack([fit_image(to_tensor(photograph(digit, rng))) for digit in digits]), torch.tensor(digits)


def photograph(digit: int, rng: random.Random) -> Image.Image:
    """A digit in some font on paper, from the side, in uneven light, partly in a shadow, as a JPEG."""
    within, s = rng.uniform, SHEET
    paper, ink = (tuple(rng.randint(*limits) for _ in range(3)) for limits in ((200, 250), (5, 60)))
    page = Image.new("RGB", (s, s), paper)
    file = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{rng.choice(FONTS)}.ttf"
    font = ImageFont.truetype(str(file), rng.randint(s // 3, int(0.55 * s)))
    middle = (s / 2 + within(-0.08, 0.08) * s, s / 2 + within(-0.08, 0.08) * s)
    ImageDraw.Draw(page).text(middle, str(digit), fill=ink, font=font, anchor="mm")
    inside = [within(0, 0.12 * s) for _ in range(8)]
    corners = [s - d if far else d for d, far in zip(inside, (0, 0, 0, 1, 1, 1, 1, 0), strict=True)]
    page = page.transform((s, s), Image.Transform.QUAD, corners, Image.Resampling.BICUBIC)
    page = page.rotate(within(-8, 8), Image.Resampling.BICUBIC, fillcolor=paper)

    def across() -> Any:
        """-.7 … .7, growing in some direction."""
        angle = within(0, 2 * np.pi)
        y, x = np.mgrid[:s, :s] / s - 0.5
        return x * np.cos(angle) + y * np.sin(angle)

    light = 1 - within(0.1, 0.5) * (across() + 0.5)
    edge = (across() - within(-0.3, 0.3)) * s / within(4, 40)
    light = light * (1 - within(0.2, 0.5) / (1 + np.exp(-edge.clip(-30, 30))))
    warm = np.array([1, within(0.93, 1), within(0.8, 1)])
    grain = np.random.default_rng(rng.randrange(2**31)).normal(0, within(0.005, 0.03), (s, s, 3))
    pixels = (np.asarray(page) / 255 * light[..., None] * warm + grain).clip(0, 1)
    lens = ImageFilter.GaussianBlur(within(0, 1.5))
    file = io.BytesIO()
    Image.fromarray((255 * pixels).astype(np.uint8)).filter(lens).save(file, "JPEG", quality=rng.randint(50, 90))
    return Image.open(file).convert("RGB")


def phrases() -> list[dict[str, Any]]:
    """240 requests: "text", its "digit", "colour" and "motion" or None, and words for what this world has not."""
    lines = Path(__file__).with_name("phrases.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]
