"""Tones for the tests of recordings."""

import torch

RATE = 8000


def tone(b=4, hz=400.0, start=1000, length=3000):
    t = torch.arange(8192)
    return (0.5 * torch.sin(2 * torch.pi * hz * t / RATE) * ((t >= start) & (t < start + length))).repeat(b, 1)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)
