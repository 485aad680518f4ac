import pytest
import torch

from codi_minimal.diffusion import Schedule, q_sample, to_z0, velocity

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
@pytest.mark.parametrize("t", [0, 500, 999])
def test_conversions_are_inverses(name, t):
    schedule, z0, eps = double(name), wave(2, 5), wave(2, 5, rate=0.7)
    when = torch.full((2,), t)
    alpha, sigma = schedule.alpha_sigma(when, z0)
    z_t, v = q_sample(schedule, z0, when, eps), velocity(z0, eps, alpha, sigma)
    for prediction, output in (("v", v), ("epsilon", eps)):
        torch.testing.assert_close(to_z0(prediction, output, z_t, alpha, sigma), z0, rtol=0, atol=1e-9)


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
    with pytest.raises(ValueError, match="0 … 999, got 1 … 1000"):
        q_sample(schedule, z, torch.tensor([1, 1000]), z)
    with pytest.raises(ValueError, match="floating point, got torch.int64"):
        q_sample(schedule, z.long(), t, z.long())
    with pytest.raises(ValueError, match="one shape.*eps"):
        velocity(z, z[:, :1], 0.6, 0.8)
    with pytest.raises(ValueError, match="prediction: expected one of"):
        to_z0("x", z, z, 0.6, 0.8)
    with pytest.raises(ValueError, match="one shape"):
        to_z0("v", z, z[:1], 0.6, 0.8)
