"""A tiny CoDi with random weights in which every path carries something: for tests of structure, not of quality."""

from functools import cache

import torch

from codi_minimal import CoDi
from codi_minimal.config import preset
from codi_minimal.data import VOCABULARY

IMAGE = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(1))
AUDIO = torch.rand(8192, generator=torch.Generator().manual_seed(2)) - 0.5
VIDEO = torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(3))
PROMPTS = {"text": "a red seven", "image": IMAGE, "audio": AUDIO, "video": VIDEO}
NAMES = ("text", "image", "audio", "video")


@cache
def random_codi() -> CoDi:
    """Shared between tests, which must not change it."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = CoDi(preset("tiny"), VOCABULARY).eval().requires_grad_(False)
        for p in model.parameters():
            if not p.any():
                p.data = 0.05 * torch.randn(p.shape)
    return model.to(memory_format=torch.channels_last)  # as from_pretrained gives it
