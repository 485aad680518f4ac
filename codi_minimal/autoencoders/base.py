"""The base class of the variational autoencoders (E_m, D_m): latents of unit scale. `VideoAutoencoder` wraps one."""

import torch
from torch import Tensor, nn

from codi_minimal.inputs import batch_of


def kl_divergence(mean: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mean, e^logvar) ‖ N(0, 1)), in nats a latent component, averaged over all of them.

    Kingma & Welling 2014, appendix B. Elsewhere: diffusers `DiagonalGaussianDistribution.kl`, which sums over the
    components: c h w times as much, one number a sample.
    """
    return 0.5 * (mean.square() + logvar.exp() - 1 - logvar).mean()


def moments(h: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and log-variance (b, c, ...), the halves of an encoder's channels "b 2c ...".

    The log-variance is clamped to [−20, 10], which keeps exp() finite. Elsewhere: diffusers and LDM clamp to
    [−30, 20] (`DiagonalGaussianDistribution`).
    """
    mean, logvar = h.chunk(2, dim=1)
    return mean, logvar.clamp(-20, 10)


class Autoencoder(nn.Module):
    """E_m and D_m of one modality: x → z_0 (b, *latent_shape) → x.

    A subclass gives `posterior`, `decode_raw` and `reconstruction`. Diffusion wants latents of unit variance, so
    `encode` and `decode` multiply and divide by `scale_factor`, which `fit_scale` measures once after training
    (Rombach et al. 2022, appendix G; Stable Diffusion's 0.18215 is such a number).
    """

    latent_shape: tuple[int, ...]
    kl_weight: float

    def __init__(self, latent_shape: tuple[int, ...], kl_weight: float):
        super().__init__()
        self.latent_shape = tuple(latent_shape)
        self.kl_weight = kl_weight
        self.register_buffer("scale_factor", torch.ones(()))

    def posterior(self, x) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z | x), each (b, *latent_shape), before scaling."""
        raise NotImplementedError

    def decode_raw(self, z: Tensor):
        """Data of an unscaled latent (b, *latent_shape)."""
        raise NotImplementedError

    def reconstruction(self, x, z: Tensor) -> Tensor:
        """The reconstruction term of the loss, a scalar, for data x and an unscaled latent z drawn from q(z | x)."""
        raise NotImplementedError

    def encode(self, x) -> Tensor:
        """z_0 (b, *latent_shape): the posterior's mean, scaled."""
        return self.posterior(x)[0] * self.scale_factor

    def decode(self, z: Tensor):
        """The data that a scaled latent z_0 (b, *latent_shape) stands for."""
        if tuple(z.shape[1:]) != self.latent_shape:
            raise ValueError(f"expected latents of shape {batch_of(self.latent_shape)}, got {tuple(z.shape)}")
        return self.decode_raw(z / self.scale_factor)

    def loss(self, x, noise: Tensor) -> dict[str, Tensor]:
        """−ELBO with a weighted KL: reconstruction + kl_weight · KL; `noise` (b, *latent_shape) is N(0, 1)."""
        mean, logvar = self.posterior(x)
        reconstruction = self.reconstruction(x, mean + (0.5 * logvar).exp() * noise)
        kl = kl_divergence(mean, logvar)
        return {"loss": reconstruction + self.kl_weight * kl, "reconstruction": reconstruction, "kl": kl}

    @torch.no_grad()
    def fit_scale(self, z: Tensor) -> None:
        """Set scale_factor so that latents `z`, encoded with the present one, come out with unit standard deviation."""
        self.scale_factor.div_(z.std())
