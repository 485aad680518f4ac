import pytest
import torch

from codi_minimal.diffusion import Schedule, cosine, linear, posterior_coefficients, scaled_linear

NAMES = ["linear", "scaled_linear", "cosine"]


@pytest.mark.parametrize("make", [linear, scaled_linear, cosine])
@pytest.mark.parametrize("T", [2, 10, 100, 1000])
def test_betas_are_float64_rising_and_below_one(make, T):
    beta = make(T)
    assert beta.dtype == torch.float64 and beta.shape == (T,)
    assert (beta > 0).all() and (beta <= 0.999).all() and (beta.diff() >= 0).all()


def test_scaled_linear_is_linear_in_its_root():
    assert scaled_linear(1000).sqrt().diff().std() < 1e-15
    assert linear(1000).diff().std() < 1e-15


def test_cosine_follows_equation_17():
    T, s = 1000, 0.008
    u = torch.arange(1, T + 1, dtype=torch.float64) / T
    f = ((u + s) / (1 + s) * torch.pi / 2).cos().square()
    f0 = torch.tensor(s / (1 + s) * torch.pi / 2, dtype=torch.float64).cos().square()
    alpha_bar = Schedule("cosine", T).exact_alpha_bar()
    torch.testing.assert_close(alpha_bar[:-1], (f / f0)[:-1], rtol=1e-9, atol=0)  # the last is capped
    assert alpha_bar[-1] > 0


@pytest.mark.parametrize("name", ["linear", "scaled_linear"])
def test_shorter_chains_end_at_the_same_noise(name):
    long, short = Schedule(name, 1000).exact_alpha_bar(), Schedule(name, 200).exact_alpha_bar()
    assert (long[-1].log() / short[-1].log()).item() == pytest.approx(1, abs=0.07)


@pytest.mark.parametrize("name", NAMES)
def test_float32_tables_are_rounded_float64_ones(name):
    single, double = Schedule(name, 1000), Schedule(name, 1000, dtype=torch.float64)
    for key, table in double.named_buffers():
        assert torch.equal(getattr(single, key), table.float()), key
        assert table.isfinite().all() and getattr(single, key).isfinite().all(), key


def test_t_is_zero_based():
    schedule = Schedule("linear", 1000)
    like = torch.zeros(2, 1)
    alpha, sigma = schedule.alpha_sigma(torch.tensor([0, 999]), like)
    torch.testing.assert_close(sigma[0, 0] ** 2, torch.tensor(1e-4))  # one step of noise: beta[0]
    torch.testing.assert_close(alpha[1, 0] ** 2, schedule.alpha_bar[-1])
    for t in (-1, 1000):
        with pytest.raises(ValueError, match="0 … 999"):
            schedule.alpha_sigma(torch.tensor([0, t]), like)


@pytest.mark.parametrize("name", NAMES)
def test_adjacent_posterior_coefficients_are_ddpm_equation_7(name):
    beta = {"linear": linear, "scaled_linear": scaled_linear, "cosine": cosine}[name](1000)
    alpha_bar = torch.cumprod(1 - beta, 0)
    now, before = alpha_bar[1:], alpha_bar[:-1]
    c_z0, c_zt, variance = posterior_coefficients(now, before)
    torch.testing.assert_close(c_z0, before.sqrt() * beta[1:] / (1 - now), rtol=1e-9, atol=0)
    torch.testing.assert_close(c_zt, (1 - beta[1:]).sqrt() * (1 - before) / (1 - now), rtol=1e-9, atol=0)
    torch.testing.assert_close(variance, (1 - before) / (1 - now) * beta[1:], rtol=1e-9, atol=0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("t", [1, 300, 999])
def test_posterior_is_bayes_rule(name, t):
    """q(z_{t-1} | z_t, z0) ∝ q(z_t | z_{t-1}) q(z_{t-1} | z0), multiplied and normalised on a grid."""
    schedule, z0, z_t = Schedule(name, 1000, dtype=torch.float64), 0.7, -0.4
    beta, now, before = schedule.beta[t].item(), schedule.alpha_bar[t].item(), schedule.alpha_bar[t - 1].item()
    c_z0, c_zt, variance = posterior_coefficients(now, before)
    mean = c_z0 * z0 + c_zt * z_t
    grid = torch.linspace(mean - 12 * variance**0.5, mean + 12 * variance**0.5, 4001, dtype=torch.float64)
    log = -((z_t - (1 - beta) ** 0.5 * grid) ** 2) / (2 * beta) - (grid - before**0.5 * z0) ** 2 / (2 * (1 - before))
    weight = log.softmax(0)
    centre = (weight * grid).sum()
    assert mean == pytest.approx(centre.item(), rel=1e-7, abs=1e-9)
    assert variance == pytest.approx((weight * (grid - centre) ** 2).sum().item(), rel=1e-7)


def test_buffers_stay_out_of_checkpoints():
    assert Schedule("cosine", 10).state_dict() == {}


def test_output_takes_the_dtype_of_the_latents():
    schedule = Schedule("cosine", 10)
    for x in schedule.alpha_sigma(torch.tensor([1]), torch.zeros(1, 2, dtype=torch.bfloat16)):
        assert x.dtype == torch.bfloat16 and x.shape == (1, 1)


@pytest.mark.parametrize("T", [1, 0, -5, 10.0, True])
def test_bad_length(T):
    with pytest.raises(ValueError, match="T: expected"):
        Schedule("linear", T)


def test_bad_name():
    with pytest.raises(ValueError, match="schedule: expected one of .*quadratic"):
        Schedule("quadratic", 10)


@pytest.mark.parametrize(
    "t", [torch.tensor([0.0, 1.0]), torch.tensor([0]), torch.tensor(0), torch.tensor([[0], [1]]), 3, [0, 1]]
)
def test_bad_t(t):
    with pytest.raises(ValueError, match="t: expected integers of shape"):
        Schedule("linear", 10).alpha_sigma(t, torch.zeros(2, 3))


def test_integers_are_refused_where_coefficients_would_all_become_zero():
    with pytest.raises(ValueError, match="floating point, got torch.int64"):
        Schedule("linear", 10).alpha_sigma(torch.tensor([0, 1]), torch.zeros(2, 3, dtype=torch.int64))
    with pytest.raises(ValueError, match="dtype: expected a floating point type, got torch.int64"):
        Schedule("linear", 10, dtype=torch.int64)
