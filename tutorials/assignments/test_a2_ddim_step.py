import torch

from codi_minimal.diffusion import Schedule, make_sampler, velocity

HINT = "the network gives v, not ε: first find ẑ_0 and ε̂ from z_t and v, at the time t."
SAMPLER = make_sampler("ddim", Schedule("cosine", 1000), steps=10)
STEPS = list(enumerate(zip(SAMPLER.alpha_bars, SAMPLER.alpha_bars[1:], strict=False)))


def randn(seed: int) -> torch.Tensor:
    return torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(seed))


def test_every_step_is_the_packages(answer, close):
    z, v = randn(0), randn(1)
    for i, (now, after) in STEPS:
        close(answer.ddim_step(z, v, now, after), SAMPLER.step(i, z, v)[0], HINT, rtol=1e-4, atol=1e-5)


def test_with_a_network_that_knows_the_answer_it_arrives_there(answer, close):
    z0, eps = randn(2), randn(3)
    z = eps
    for _, (now, after) in STEPS:
        alpha, sigma = now**0.5, (1 - now) ** 0.5
        z = answer.ddim_step(z, velocity(z0, (z - alpha * z0) / sigma, alpha, sigma), now, after)
    close(z, z0, HINT, rtol=1e-4, atol=1e-4)


def test_a_step_of_no_length_changes_nothing(answer, close):
    z, v = randn(4), randn(5)
    close(answer.ddim_step(z, v, 0.3, 0.3), z, HINT)
