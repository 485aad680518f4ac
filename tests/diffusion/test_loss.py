import pytest
import torch

from codi_minimal.diffusion import Schedule, diffusion_loss, q_sample, target

T = 1000
SCHEDULE = Schedule("cosine", T, dtype=torch.float64)
RATE = torch.arange(4 * 6, dtype=torch.float64).reshape(4, 6)
Z0, EPS, TIMES = (0.3 * RATE).sin(), (0.7 * RATE).cos(), torch.tensor([0, 300, 700, 990])


def net(z_t, t, cond, env):
    return 0.3 * z_t + t[:, None] / T


def test_the_perfect_network_has_no_loss():
    for prediction in ("v", "epsilon"):
        wanted = target(SCHEDULE, Z0, TIMES, EPS, prediction)
        loss = diffusion_loss(lambda *_, wanted=wanted: wanted, Z0, TIMES, EPS, SCHEDULE, prediction=prediction)
        assert loss == 0


def test_the_network_sees_z_t_and_its_conditions():
    seen = {}

    def spy(z_t, t, cond, env):
        seen.update(z_t=z_t, t=t, cond=cond, env=env)
        return z_t

    cond, env = torch.ones(4, 2), torch.ones(4, 3, 2)
    diffusion_loss(spy, Z0, TIMES, EPS, SCHEDULE, cond, env)
    assert torch.equal(seen["z_t"], q_sample(SCHEDULE, Z0, TIMES, EPS))
    assert seen["t"] is TIMES and seen["cond"] is cond and seen["env"] is env


def test_epsilon_loss_is_v_loss_times_alpha_bar():
    def as_eps(z_t, t, cond, env):
        alpha, sigma = SCHEDULE.alpha_sigma(t, z_t)
        return alpha * net(z_t, t, cond, env) + sigma * z_t

    for i in range(4):
        one = Z0[i : i + 1], TIMES[i : i + 1], EPS[i : i + 1], SCHEDULE
        in_v, in_eps = diffusion_loss(net, *one), diffusion_loss(as_eps, *one, prediction="epsilon")
        torch.testing.assert_close(in_eps, SCHEDULE.alpha_bar[TIMES[i]] * in_v)


def test_the_loss_is_the_mean_over_samples_and_components():
    each = [diffusion_loss(net, Z0[i : i + 1], TIMES[i : i + 1], EPS[i : i + 1], SCHEDULE) for i in range(4)]
    z_t = q_sample(SCHEDULE, Z0, TIMES, EPS)
    error = (net(z_t, TIMES, None, None) - target(SCHEDULE, Z0, TIMES, EPS)).square()
    torch.testing.assert_close(torch.stack(each), error.mean(1))
    torch.testing.assert_close(diffusion_loss(net, Z0, TIMES, EPS, SCHEDULE), error.mean())


def test_gradient_reaches_the_network():
    scale = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    diffusion_loss(lambda z_t, t, cond, env: scale * z_t, Z0, TIMES, EPS, SCHEDULE).backward()
    z_t = q_sample(SCHEDULE, Z0, TIMES, EPS)
    expected = (2 * (0.5 * z_t - target(SCHEDULE, Z0, TIMES, EPS)) * z_t).mean()
    torch.testing.assert_close(scale.grad, expected)


def test_a_linear_network_learns_the_posterior_mean():
    """Of data N(0, s²), E[eps | z_t] = sigma / (alpha² s² + sigma²) z_t: the loss's minimiser."""
    generator, s, t = torch.Generator().manual_seed(0), 0.5, 400
    z0 = s * torch.randn(20000, 1, generator=generator, dtype=torch.float64)
    eps = torch.randn(20000, 1, generator=generator, dtype=torch.float64)
    scale = torch.zeros((), dtype=torch.float64, requires_grad=True)
    for _ in range(50):
        times = torch.full((20000,), t)
        loss = diffusion_loss(lambda z, *_: scale * z, z0, times, eps, SCHEDULE, prediction="epsilon")
        (slope,) = torch.autograd.grad(loss, scale)
        scale.data -= 0.4 * slope
    ab = SCHEDULE.alpha_bar[t]
    assert scale.item() == pytest.approx(((1 - ab).sqrt() / (ab * s**2 + 1 - ab)).item(), abs=0.02)


def test_bad_input():
    with pytest.raises(ValueError, match="prediction: expected one of"):
        diffusion_loss(net, Z0, TIMES, EPS, SCHEDULE, prediction="score")
    with pytest.raises(ValueError, match="one shape.*output"):
        diffusion_loss(lambda z, *_: z[:, :1], Z0, TIMES, EPS, SCHEDULE)
    with pytest.raises(ValueError, match="one shape"):
        diffusion_loss(net, Z0, TIMES, EPS[:, :1], SCHEDULE)
    with pytest.raises(ValueError, match="t: expected values"):
        diffusion_loss(net, Z0, TIMES - 1, EPS, SCHEDULE)
