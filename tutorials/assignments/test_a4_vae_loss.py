from functools import partial

import pytest
import torch

from codi_minimal.autoencoders.base import Autoencoder

GENERATOR = torch.Generator().manual_seed(0)
X, MEAN, LOGVAR, NOISE = (torch.randn(6, 4, 8, generator=GENERATOR) for _ in range(4))
MATRIX = torch.randn(8, 8, generator=GENERATOR)


def decode(z: torch.Tensor) -> torch.Tensor:
    return torch.tanh(z @ MATRIX)


def packages(kl_weight: float, mean: torch.Tensor = MEAN, logvar: torch.Tensor = LOGVAR) -> torch.Tensor:
    """The loss of an autoencoder of the package whose encoder gives these numbers."""
    vae = Autoencoder((4, 8), kl_weight)
    vae.posterior = lambda x: (mean, logvar)
    vae.reconstruction = lambda x, z: (decode(z) - x).square().mean()
    return vae.loss(X, NOISE)["loss"]


def test_the_decoder_gets_a_sample_of_the_posterior(answer, close):
    given = []

    def noted(z):
        given.append(z)
        return decode(z)

    answer.vae_loss(X, MEAN, LOGVAR, noted, NOISE, 1.0)
    assert len(given) == 1, "Hint: decode is called once."
    close(given[0], MEAN + LOGVAR.exp().sqrt() * NOISE, "σ is the root of the variance: exp(logvar / 2).")


def test_without_kl_weight_it_is_the_reconstruction_error(answer, close):
    close(answer.vae_loss(X, MEAN, LOGVAR, decode, NOISE, 0.0), packages(0.0), "one mean over all squared differences.")


def test_a_posterior_that_is_the_prior_costs_nothing(answer, close):
    zeros = torch.zeros_like(MEAN)
    hint = "with μ = 0 and log σ² = 0 the divergence is (0 + 1 − 1 − 0) / 2; the log-variance enters once as it is."
    close(answer.vae_loss(X, zeros, zeros, decode, NOISE, 5.0), packages(0.0, zeros, zeros), hint)


@pytest.mark.parametrize("kl_weight", [1e-4, 1.0, 20.0])
def test_it_is_the_packages(answer, close, kl_weight):
    hint = "the divergence, too, is a mean over samples and components, not a sum; mind the half and the weight."
    close(answer.vae_loss(X, MEAN, LOGVAR, decode, NOISE, kl_weight), packages(kl_weight), hint)


def test_its_gradient_reaches_the_encoder(answer, close):
    found, expected = [], []
    asked = partial(packages, 0.5), lambda mean, logvar: answer.vae_loss(X, mean, logvar, decode, NOISE, 0.5)
    for grads, loss in zip((expected, found), asked, strict=True):
        given = MEAN.clone().requires_grad_(), LOGVAR.clone().requires_grad_()
        grads += torch.autograd.grad(loss(*given), given, allow_unused=True)
    for name, mine, its in zip(("mean", "log-variance"), found, expected, strict=True):
        assert mine is not None, f"Hint: no gradient reaches the {name}; z must be computed from it."
        close(mine, its, f"no step between the {name} and the loss may be detached.")
