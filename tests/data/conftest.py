"""Sources for the tests of the world: the sample, the real data if there is any, and one to measure with."""

import math

import pytest
import torch

from codi_minimal.data import Source, load


@pytest.fixture(scope="session")
def sample() -> Source:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("CODI_DATA", raising=False)
        return load(split="train", hub=False)


@pytest.fixture(scope="session", params=["sample", "real"])
def source(request) -> Source:
    if request.param == "sample":
        return request.getfixturevalue("sample")
    return load(request.getfixturevalue("data_dir"), "test")


@pytest.fixture(scope="session")
def ruler() -> Source:
    """Every glyph a round blob in the middle (sigma 2 px), each recording a tone of its own length."""
    at = torch.arange(28) - 13.5
    blob = 255 * torch.exp(-(at[:, None] ** 2 + at**2) / (2 * 2.0**2))
    lengths = 2000 + 500 * torch.arange(10)
    time = torch.arange(8192)
    tones = torch.sin(2 * math.pi * 100 * torch.arange(1, 11)[:, None] * time / 8000)
    return Source(
        glyphs=blob.round().to(torch.uint8).expand(10, 28, 28),
        digits=torch.arange(10),
        recordings=0.8 * tones * (time < lengths[:, None]),
        lengths=lengths,
        spoken=torch.arange(10),
        speakers=torch.zeros(10, dtype=torch.long),
        name="ruler",
    )
