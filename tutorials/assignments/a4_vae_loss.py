"""Assignment 4, after notebook 03: the loss of a variational autoencoder (Kingma & Welling 2014)."""

from collections.abc import Callable

from torch import Tensor


def vae_loss(
    x: Tensor, mean: Tensor, logvar: Tensor, decode: Callable[[Tensor], Tensor], noise: Tensor, kl_weight: float
) -> Tensor:
    """L = mean |D(z) − x|² + λ_KL KL, with z = μ + σ ε drawn from q(z | x) = N(μ, σ²).

    The KL divergence from N(0, 1), of one component of z, is (μ² + σ² − 1 − log σ²) / 2. Both terms are means over all
    components and all samples.

    Args:
        x: data, (b, ...).
        mean, logvar: μ and log σ², (b, ...), what the encoder gives.
        decode: D, z (b, ...) → data (b, ...).
        noise: ε from N(0, 1), of the shape of the mean.
        kl_weight: λ_KL.

    Returns:
        A scalar, whose gradient reaches the mean and the log-variance.
    """
    raise NotImplementedError
