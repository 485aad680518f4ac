import pytest
import torch

from codi_minimal.diffusion import Schedule, q_sample

SCHEDULE = Schedule("cosine", 1000)
HINT = "alpha_bar[t] has the shape (b,); give it as many axes as z_0 has, so that each sample gets its own factor."


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(8, 8), (4, 8, 8), (8, 4, 8, 8)], ids=["text", "image", "video"])
def test_it_is_the_packages_for_latents_of_all_shapes(answer, close, shape):
    z0, eps, t = randn(5, *shape), randn(5, *shape, seed=1), torch.tensor([0, 999, 250, 500, 750])
    close(answer.q_sample(SCHEDULE.alpha_bar, z0, t, eps), q_sample(SCHEDULE, z0, t, eps), HINT)


def test_every_sample_has_its_own_time_also_where_the_batch_is_as_long_as_the_latent(answer, close):
    z0, eps, t = randn(8, 8), randn(8, 8, seed=1), torch.arange(0, 1000, 125)
    together = answer.q_sample(SCHEDULE.alpha_bar, z0, t, eps)
    apart = [answer.q_sample(SCHEDULE.alpha_bar, z0[i : i + 1], t[i : i + 1], eps[i : i + 1]) for i in range(8)]
    close(together, torch.cat(apart), HINT)


def test_unit_variance_stays_unit_variance(answer):
    z0, eps = randn(2, 50_000), randn(2, 50_000, seed=1)
    for t in (0, 300, 600, 999):
        z_t = answer.q_sample(SCHEDULE.alpha_bar, z0, torch.full((2,), t), eps)
        assert abs(z_t.var().item() - 1) < 0.02, "Hint: the two factors are square roots, whose squares add up to 1."
