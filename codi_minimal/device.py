"""Devices, and the seeds and generators of all randomness."""

from __future__ import annotations

import hashlib

import torch


def best_device(name: str | None = None) -> torch.device:
    """The device of that name ("cpu", "mps", "cuda", "cuda:1", …), or the fastest: CUDA, then MPS, then the CPU.

    Raises:
        ValueError: the name is none of these, or this computer has no such device.

    >>> best_device("cpu")
    device(type='cpu')
    """
    cuda = ["cuda", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))] if torch.cuda.is_available() else []
    available = [*cuda, *(["mps"] if torch.backends.mps.is_available() else []), "cpu"]
    if name is not None and name not in available:
        raise ValueError(f"expected one of the devices available here, {available}; got {name!r}")
    return torch.device(name or available[0])


def seed_generator(seed: int) -> torch.Generator:
    """A generator on the CPU, so that one seed draws the same numbers whatever the device.

    Raises:
        ValueError: the seed is no integer in [0, 2**63).
    """
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**63:
        raise ValueError(f"expected a seed that is an integer in [0, 2**63); got {seed!r}")
    return torch.Generator().manual_seed(seed)


def step_seed(seed: int, i: int, stream: str = "") -> int:
    """The seed of step i of a run: a hash of all three, in [0, 2**63), so that a step depends on no earlier one.

    >>> step_seed(0, 1) == step_seed(0, 1), step_seed(0, 1) == step_seed(1, 0)
    (True, False)
    """
    digest = hashlib.blake2b(f"{seed}/{i}/{stream}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def sample_seed(seed: int, k: int) -> int:
    """The seed of sample k of a batch: `generate(seed=sample_seed(s, k))` makes sample k of `generate(seed=s)` alone.

    Sample 0 has the seed itself. The others have hashes of it, so that neighbouring seeds share no sample.

    >>> sample_seed(7, 0), sample_seed(7, 1) == sample_seed(8, 0)
    (7, False)
    """
    return seed if k == 0 else step_seed(seed, k, "sample")


def seed_global(seed: int, device: torch.device) -> None:
    """Seeds the global generators of the CPU and of this device, which `nn.Dropout` draws from."""
    # `torch.manual_seed` would seed every other device too, which costs more than a small step
    torch.default_generator.manual_seed(seed)
    if device.type != "cpu":
        getattr(torch, device.type).manual_seed(seed)
