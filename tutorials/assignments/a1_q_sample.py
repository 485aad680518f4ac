"""Assignment 1, after notebook 01: noise at once, without the chain that leads there (DDPM, eq. 4)."""

from torch import Tensor


def q_sample(alpha_bar: Tensor, z0: Tensor, t: Tensor, eps: Tensor) -> Tensor:
    """z_t = √ᾱ_t z_0 + √(1 − ᾱ_t) ε, each sample at a time of its own.

    Args:
        alpha_bar: ᾱ, (T,).
        z0, eps: (b, ...); latents may have two, three or four axes after the batch.
        t: (b,), integers, zero-based.

    Returns:
        z_t, (b, ...).
    """
    raise NotImplementedError
