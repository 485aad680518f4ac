import pytest
import torch

from codi_minimal.diffusion import Schedule, posterior, q_sample, to_eps, to_z0, velocity

NAMES = ["linear", "scaled_linear", "cosine"]


def double(name, T=1000):
    return Schedule(name, T, dtype=torch.float64)


def wave(*shape, rate=0.1):
    return (rate * torch.arange(torch.Size(shape).numel(), dtype=torch.float64)).sin().reshape(shape)


@pytest.mark.parametrize("name", NAMES)
def test_closed_form_has_the_moments_of_the_chain(name):
    """z_t = sqrt(1 - beta) z_{t-1} + sqrt(beta) noise, T times over: track mean and variance of each step."""
    schedule = double(name)
    mean, variance = 1.0, 0.0
    zero, one = torch.zeros(1, 1, dtype=torch.float64), torch.ones(1, 1, dtype=torch.float64)
    for t, beta in enumerate(schedule.beta.tolist()):
        mean, variance = (1 - beta) ** 0.5 * mean, (1 - beta) * variance + beta
        if t in (0, 1, 10, 500, 998, 999):
            when = torch.tensor([t])
            assert q_sample(schedule, one, when, zero).item() == pytest.approx(mean, rel=1e-9)
            assert q_sample(schedule, zero, when, one).item() ** 2 == pytest.approx(variance, rel=1e-9)


def test_each_sample_has_its_own_t():
    schedule, z0, eps = double("cosine"), wave(3, 4, 8, 8), wave(3, 4, 8, 8, rate=0.37)
    t = torch.tensor([5, 999, 400])
    together = q_sample(schedule, z0, t, eps)
    for b in range(3):
        alone = q_sample(schedule, z0[b : b + 1], t[b : b + 1], eps[b : b + 1])
        assert torch.equal(together[b : b + 1], alone)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("t", [1, 300, 999])
def test_posterior_is_bayes_rule(name, t):
    """q(z_{t-1} | z_t, z0) ∝ q(z_t | z_{t-1}) q(z_{t-1} | z0), multiplied and normalised on a grid."""
    schedule, z0, z_t = double(name), 0.7, -0.4
    beta, before = schedule.beta[t].item(), schedule.alpha_bar[t - 1].item()
    mean, variance = posterior(
        schedule, torch.full((1, 1), z0).double(), torch.full((1, 1), z_t).double(), torch.tensor([t])
    )
    width = 12 * variance.item() ** 0.5
    grid = torch.linspace(mean.item() - width, mean.item() + width, 4001, dtype=torch.float64)
    log = -((z_t - (1 - beta) ** 0.5 * grid) ** 2) / (2 * beta) - (grid - before**0.5 * z0) ** 2 / (2 * (1 - before))
    weight = log.softmax(0)
    centre = (weight * grid).sum()
    assert mean.item() == pytest.approx(centre.item(), rel=1e-7, abs=1e-9)
    assert variance.item() == pytest.approx((weight * (grid - centre) ** 2).sum().item(), rel=1e-7)


def test_posterior_at_zero_is_the_data():
    schedule, z0 = double("cosine"), wave(2, 3)
    mean, variance = posterior(schedule, z0, wave(2, 3, rate=2.0), torch.zeros(2, dtype=torch.long))
    assert torch.equal(mean, z0) and (variance == 0).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("t", [0, 500, 999])
def test_conversions_are_inverses(name, t):
    schedule, z0, eps = double(name), wave(2, 5), wave(2, 5, rate=0.7)
    when = torch.full((2,), t)
    alpha, sigma = schedule.alpha_sigma(when, z0)
    z_t, v = q_sample(schedule, z0, when, eps), velocity(z0, eps, alpha, sigma)
    for prediction, output in (("v", v), ("epsilon", eps)):
        torch.testing.assert_close(to_z0(prediction, output, z_t, alpha, sigma), z0, rtol=0, atol=1e-9)
        torch.testing.assert_close(to_eps(prediction, output, z_t, alpha, sigma), eps, rtol=0, atol=1e-9)


def test_z0_from_v_stays_exact_in_float32_at_the_end_of_cosine():
    schedule, z0, eps = Schedule("cosine"), wave(1, 64).float(), wave(1, 64, rate=0.7).float()
    t = torch.tensor([999])
    alpha, sigma = schedule.alpha_sigma(t, z0)
    z_t = q_sample(schedule, z0, t, eps)
    back = to_z0("v", velocity(z0, eps, alpha, sigma), z_t, alpha, sigma)
    assert (back - z0).abs().max() < 1e-6


def test_bad_input():
    schedule, z, t = double("linear"), wave(2, 3), torch.tensor([1, 2])
    with pytest.raises(ValueError, match="one shape.*eps"):
        q_sample(schedule, z, t, z[:, :1])
    with pytest.raises(ValueError, match="one shape.*z_t"):
        posterior(schedule, z, z[:1], t)
    with pytest.raises(ValueError, match="0 … 999, got 1 … 1000"):
        q_sample(schedule, z, torch.tensor([1, 1000]), z)
    with pytest.raises(ValueError, match="floating point, got torch.int64"):
        q_sample(schedule, z.long(), t, z.long())
    with pytest.raises(ValueError, match="one shape.*eps"):
        velocity(z, z[:, :1], 0.6, 0.8)
    for convert in (to_z0, to_eps):
        with pytest.raises(ValueError, match="prediction: expected one of"):
            convert("x", z, z, 0.6, 0.8)
        with pytest.raises(ValueError, match="one shape"):
            convert("v", z, z[:1], 0.6, 0.8)
