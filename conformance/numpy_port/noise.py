"""Noise from a seed, the same as torch's on a CPU."""

import hashlib
import math
import zlib

import numpy as np
from numpy import ndarray

N, M = 624, 397


class Generator:
    """MT19937 (Matsumoto and Nishimura 1998), seeded with the low 32 bits of a seed."""

    def __init__(self, seed: int) -> None:
        self.state = [seed & 0xFFFFFFFF]
        for i in range(1, N):
            self.state.append((1812433253 * (self.state[-1] ^ self.state[-1] >> 30) + i) & 0xFFFFFFFF)
        self.at = N

    def word(self) -> int:
        if self.at == N:
            s = self.state
            for i in range(N):
                y = (s[i] & 0x80000000) | (s[(i + 1) % N] & 0x7FFFFFFF)
                s[i] = s[(i + M) % N] ^ y >> 1 ^ (0x9908B0DF if y & 1 else 0)
            self.at = 0
        y = self.state[self.at]
        self.at += 1
        y ^= y >> 11
        y ^= y << 7 & 0x9D2C5680
        y ^= y << 15 & 0xEFC60000
        return y ^ y >> 18

    def normal(self, shape: tuple[int, ...], dtype: type) -> ndarray:
        """Box–Muller in blocks of 16: a radius of each of the first eight uniforms, an angle of each of the others.

        The number of values is a multiple of 16. A uniform is the low 24 bits of a word over 2^24.
        """
        n = math.prod(shape)
        u = np.array([self.word() & 0xFFFFFF for _ in range(n)], np.float32).reshape(-1, 2, 8) / np.float32(2**24)
        radius = np.sqrt(-2 * np.log1p(-u[:, 0]))
        angle = np.float32(2 * math.pi) * u[:, 1]
        return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).reshape(shape).astype(dtype)


def sample_seed(seed: int, k: int) -> int:
    """The seed of sample k: of the first the seed itself, of others the first 63 bits of a hash."""
    if k == 0:
        return seed
    return int.from_bytes(hashlib.blake2b(f"{seed}/{k}/sample".encode(), digest_size=8).digest(), "big") >> 1


def generator(seed: int, modality: str, use: str = "") -> Generator:
    """`use` is "" for z_T and "steps" for the noise of steps."""
    return Generator((seed * 1_000_003 + zlib.crc32(f"{modality} {use}".strip().encode())) % 2**63)
