"""Samplers against data whose optimal denoiser, and whose exact samples, are known in closed form."""

import re

import numpy as np
import pytest
import torch

from codi_minimal.diffusion import (
    SAMPLERS,
    Schedule,
    make_sampler,
    posterior_coefficients,
    sample,
    shifted_timesteps,
    trailing_timesteps,
    velocity,
)

NAMES = ["linear", "scaled_linear", "cosine"]
MU, S = 1.5, 0.5
Z_T = torch.tensor([[-2.0], [-1.0], [0.3], [1.7]], dtype=torch.float64)


def gaussian_net(schedule, mu=MU, s=S, prediction="v"):
    """Optimal for N(mu, s²): E[z0 | z_t] = mu + alpha s² / (alpha² s² + sigma²) (z_t - alpha mu)."""

    def net(z, t, cond, env):
        alpha, sigma = schedule.alpha_sigma(t, z)
        z0 = mu + alpha * s**2 / (alpha**2 * s**2 + sigma**2) * (z - alpha * mu)
        eps = (z - alpha * z0) / sigma
        return eps if prediction == "epsilon" else velocity(z0, eps, alpha, sigma)

    return net


def gaussian_flow(z_T, ab_T, ab, mu=MU, s=S):
    """The probability-flow ODE's exact solution: the standardised z never changes."""
    return ab**0.5 * mu + ((ab * s**2 + 1 - ab) / (ab_T * s**2 + 1 - ab_T)) ** 0.5 * (z_T - ab_T**0.5 * mu)


def run_until(net, z, sampler, t_end):
    state = None
    for i, t in enumerate(sampler.timesteps):
        if t <= t_end:
            return z, sampler.alpha_bars[i]
        z, state = sampler.step(i, z, net(z, torch.full((len(z),), t), None, None), None, state)


def errors(name, schedule, t_end=199):
    net, ab_T, out = gaussian_net(schedule), schedule.exact_alpha_bar()[-1].item(), []
    for steps in (50, 100, 200):
        z, ab = run_until(net, Z_T, make_sampler(name, schedule, steps), t_end)
        out.append((z - gaussian_flow(Z_T, ab_T, ab)).abs().max().item())
    return out


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 10, 50, 333, 999, 1000])
def test_timesteps_start_at_the_end_and_fall(steps):
    times = trailing_timesteps(1000, steps)
    assert len(times) == steps and times[0] == 999 and times[-1] >= 0
    gaps = [a - b for a, b in zip(times, times[1:] + [-1], strict=True)]
    assert min(gaps) > 0 and max(gaps) - min(gaps) <= 2  # even, up to rounding; the last gap ends at "no noise"


def test_halves_are_rounded_up():
    """At 16 steps every second t is a half; Python's own round would take 875 - 62.5 to 812."""
    assert trailing_timesteps(1000, 16)[:4] == [999, 937, 874, 812]
    assert trailing_timesteps(10, 4) == [9, 7, 4, 2]


def test_integers_of_numpy_are_steps():
    assert trailing_timesteps(1000, np.int64(5)) == trailing_timesteps(1000, 5)


def test_all_steps_visit_every_zero_based_t():
    assert trailing_timesteps(1000, 1000) == list(range(999, -1, -1))
    assert make_sampler("ddim", Schedule("cosine"), 5).timesteps == [999, 799, 599, 399, 199]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("sampler", ["ddim", "dpm-solver++"])
@pytest.mark.parametrize("prediction", ["v", "epsilon"])
def test_a_single_point_is_reached_exactly_at_any_number_of_steps(name, sampler, prediction):
    """With s = 0 the predicted z0 is always mu."""
    schedule = Schedule(name, 1000, dtype=torch.float64)
    for steps in (1, 2, 7, 50):
        net = gaussian_net(schedule, s=0.0, prediction=prediction)
        z0 = sample(net, Z_T, make_sampler(sampler, schedule, steps, prediction))
        torch.testing.assert_close(z0, torch.full_like(Z_T, MU), rtol=0, atol=1e-8)


def test_ddim_on_unit_gaussian_data_is_a_product_of_cosines():
    """For N(0, 1) the optimal v is 0: a step from angle φ_t to φ_s (alpha = cos φ) is z cos(φ_t - φ_s)."""
    schedule = Schedule("cosine", 1000, dtype=torch.float64)
    sampler = make_sampler("ddim", schedule, 8)
    angles = torch.tensor(sampler.alpha_bars, dtype=torch.float64).sqrt().acos()
    z0 = sample(gaussian_net(schedule, mu=0.0, s=1.0), Z_T, sampler)
    torch.testing.assert_close(z0, Z_T * angles.diff().cos().prod())


def test_ddim_is_first_order_and_dpm_solver_second():
    schedule = Schedule("scaled_linear", 1000, dtype=torch.float64)
    ddim, dpm = errors("ddim", schedule), errors("dpm-solver++", schedule)
    for coarse, fine in zip(ddim, ddim[1:], strict=False):
        assert coarse / fine == pytest.approx(2, abs=0.25)
    for coarse, fine in zip(dpm, dpm[1:], strict=False):
        assert coarse / fine == pytest.approx(4, abs=0.5)
    assert dpm[0] < ddim[-1] / 5


@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_dpm_solver_is_closer_to_the_data_at_twenty_steps(name):
    schedule = Schedule(name, 1000, dtype=torch.float64)
    exact = gaussian_flow(Z_T, schedule.exact_alpha_bar()[-1].item(), 1.0)
    error = {
        sampler: (sample(gaussian_net(schedule), Z_T, make_sampler(sampler, schedule, 20)) - exact).abs().max()
        for sampler in ("ddim", "dpm-solver++")
    }
    assert error["dpm-solver++"] < error["ddim"] / 2


def test_dpm_solver_without_state_is_ddim():
    schedule = Schedule("cosine", 1000)
    ddim, dpm = make_sampler("ddim", schedule, 10), make_sampler("dpm-solver++", schedule, 10)
    output = Z_T.cos()
    for i in range(9):
        torch.testing.assert_close(ddim.step(i, Z_T, output)[0], dpm.step(i, Z_T, output)[0])
    before = Z_T.sin()
    assert (ddim.step(4, Z_T, output)[0] - dpm.step(4, Z_T, output, state=before)[0]).abs().max() > 1e-3


@pytest.mark.parametrize("steps", [10, 1000])
@pytest.mark.parametrize("name", NAMES)
def test_ddim_with_eta_one_is_ddpm(name, steps):
    schedule = Schedule(name, 1000)
    ddim, ddpm = make_sampler("ddim", schedule, steps, eta=1.0), make_sampler("ddpm", schedule, steps)
    output, noise = Z_T.cos(), (3 * Z_T).sin()
    for i in range(0, steps, max(1, steps // 50)):
        torch.testing.assert_close(
            ddim.step(i, Z_T, output, noise)[0], ddpm.step(i, Z_T, output, noise)[0], rtol=1e-9, atol=1e-9
        )


@pytest.mark.parametrize("t", [999, 400, 1])
def test_ddpm_with_all_steps_samples_the_posterior(t):
    schedule = Schedule("linear", 1000, dtype=torch.float64)
    sampler, times = make_sampler("ddpm", schedule, 1000), torch.full((4,), t)
    z0, noise = Z_T.sin(), (3 * Z_T).sin()
    alpha, sigma = schedule.alpha_sigma(times, z0)
    output = velocity(z0, (Z_T - alpha * z0) / sigma, alpha, sigma)
    c_z0, c_zt, variance = posterior_coefficients(schedule.alpha_bar[t], schedule.alpha_bar[t - 1])
    z = c_z0 * z0 + c_zt * Z_T + variance.sqrt() * noise
    torch.testing.assert_close(sampler.step(999 - t, Z_T, output, noise)[0], z)


@pytest.mark.parametrize("name, eta", [("ddpm", 0.0), ("ddim", 0.0), ("ddim", 1.0), ("dpm-solver++", 0.0)])
def test_last_step_lands_on_the_predicted_z0(name, eta):
    schedule = Schedule("cosine", 1000)
    sampler = make_sampler(name, schedule, 10, eta=eta)
    z0 = Z_T.sin()
    ab = sampler.alpha_bars[9]
    output = velocity(z0, (Z_T - ab**0.5 * z0) / (1 - ab) ** 0.5, ab**0.5, (1 - ab) ** 0.5)
    z, state = sampler.step(9, Z_T, output, noise=torch.ones_like(Z_T))
    torch.testing.assert_close(z, z0)
    assert state is None


@pytest.mark.parametrize("steps", [100, 1000])
def test_ancestral_sampling_of_a_gaussian_mixture(steps):
    """Modes -1 and 2 (weights 0.3, 0.7; deviations 0.2, 0.4): shares, means and deviations come back."""
    schedule = Schedule("cosine", 1000, dtype=torch.float64)
    weight, mu, s = (torch.tensor(x, dtype=torch.float64) for x in ([0.3, 0.7], [-1.0, 2.0], [0.2, 0.4]))

    def net(z, t, cond, env):
        alpha, sigma = schedule.alpha_sigma(t, z)
        variance = alpha**2 * s**2 + sigma**2
        share = (weight.log() - variance.log() / 2 - (z - alpha * mu) ** 2 / (2 * variance)).softmax(1)
        z0 = (share * (mu + alpha * s**2 / variance * (z - alpha * mu))).sum(1, keepdim=True)
        return velocity(z0, (z - alpha * z0) / sigma, alpha, sigma)

    generator = torch.Generator().manual_seed(0)
    z_T = torch.randn(4000, 1, generator=generator, dtype=torch.float64)
    z0 = sample(net, z_T, make_sampler("ddpm", schedule, steps), generator=generator)
    left, right = z0[z0 < 0.3], z0[z0 >= 0.3]
    assert len(left) / len(z0) == pytest.approx(0.3, abs=0.03)
    assert left.mean().item() == pytest.approx(-1, abs=0.03) and left.std().item() == pytest.approx(0.2, abs=0.03)
    assert right.mean().item() == pytest.approx(2, abs=0.04) and right.std().item() == pytest.approx(0.4, abs=0.04)


@pytest.mark.parametrize("name", ["ddpm", "ddim", "dpm-solver++"])
def test_v_prediction_with_cosine_is_stable_in_float32(name):
    schedule = Schedule("cosine", 1000)
    generator, sampler = torch.Generator().manual_seed(0), make_sampler(name, schedule, 50)
    nets = gaussian_net(schedule), gaussian_net(Schedule("cosine", 1000, dtype=torch.float64))
    single = torch.randn(64, 4, generator=generator)
    exact, states = single.double(), [None, None]
    for i, t in enumerate(sampler.timesteps):
        noise, t = torch.randn(64, 4, generator=generator), torch.full((64,), t)
        single, states[0] = sampler.step(i, single, nets[0](single, t, None, None), noise, states[0])
        exact, states[1] = sampler.step(i, exact, nets[1](exact, t, None, None), noise.double(), states[1])
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), exact, rtol=0, atol=1e-4)


def test_a_wrong_first_prediction_cannot_blow_up_v():
    """At t = T-1 an error in v moves the predicted z0 by as much; one in eps, 1 / alpha as far."""
    schedule = Schedule("cosine", 1000)
    z0 = {p: make_sampler("ddim", schedule, 1, p).step(0, Z_T, Z_T + 0.1)[0] for p in ("v", "epsilon")}
    assert (z0["v"] + Z_T).abs().max() < 0.11 and z0["epsilon"].abs().max() > 1000


def test_clip_bounds_the_predicted_z0_and_keeps_eps_consistent():
    schedule = Schedule("cosine", 1000)
    sampler = make_sampler("ddim", schedule, 10, "epsilon", clip=1.5)
    assert sample(lambda z, *_: 0 * z, 100 * Z_T, sampler).abs().max() <= 1.5
    z, (ab, ab_next) = sampler.step(0, Z_T, 0 * Z_T)[0], sampler.alpha_bars[:2]
    z0 = (Z_T / ab**0.5).clamp(-1.5, 1.5)
    eps = (Z_T - ab**0.5 * z0) / (1 - ab) ** 0.5
    torch.testing.assert_close(z, ab_next**0.5 * z0 + (1 - ab_next) ** 0.5 * eps)


def test_sampling_side_by_side_is_sampling_alone():
    """One sampler serves two streams, step by step in turn: it keeps nothing between steps."""
    schedule = Schedule("cosine", 1000, dtype=torch.float64)
    sampler, nets = (make_sampler("dpm-solver++", schedule, 6), [gaussian_net(schedule, m) for m in (1.5, -0.5)])
    alone = [sample(net, Z_T, sampler) for net in nets]
    z, state = [Z_T, Z_T], [None, None]
    for i, t in enumerate(sampler.timesteps):
        for k, net in enumerate(nets):
            z[k], state[k] = sampler.step(i, z[k], net(z[k], torch.full((4,), t), None, None), None, state[k])
    assert torch.equal(z[0], alone[0]) and torch.equal(z[1], alone[1])


def test_sample_is_deterministic_and_passes_its_conditions():
    schedule, seen = Schedule("cosine", 1000, dtype=torch.float64), []

    def net(z, t, cond, env):
        seen.append((t.tolist(), cond, env))
        return 0.5 * z

    cond, env = torch.ones(4, 2), torch.ones(4, 3, 2)
    sampler = make_sampler("ddim", schedule, 3)
    first, second = (sample(net, Z_T, sampler, cond, env) for _ in range(2))
    assert torch.equal(first, second)
    assert [t for t, _, _ in seen[:3]] == [[t] * 4 for t in sampler.timesteps]
    assert all(c is cond and e is env for _, c, e in seen)


def test_a_generator_draws_the_noise_of_one_step_after_the_other():
    schedule, sampler = Schedule("cosine", 1000), make_sampler("ddpm", Schedule("cosine", 1000), 5)
    net, z, generator = gaussian_net(schedule), Z_T, torch.Generator().manual_seed(3)
    for i, t in enumerate(sampler.timesteps):
        noise = torch.randn(4, 1, generator=generator, dtype=torch.float64)
        z, _ = sampler.step(i, z, net(z, torch.full((4,), t), None, None), noise)
    assert torch.equal(sample(net, Z_T, sampler, generator=torch.Generator().manual_seed(3)), z)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"name": "euler"}, "sampler: expected one of"),
        ({"steps": 0}, "steps: expected an integer in 1 … 1000"),
        ({"steps": 1001}, "steps"),
        ({"steps": 2.0}, "steps"),
        ({"prediction": "x0"}, "prediction"),
        ({"eta": 1.5}, "eta: expected a number in"),
        ({"eta": -0.1}, "eta"),
        ({"name": "ddpm", "eta": 0.5}, "eta: only 'ddim'"),
        ({"clip": 0.0}, "clip"),
    ],
)
def test_bad_sampler(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_sampler(**{"name": "ddim", "schedule": Schedule("linear"), "steps": 10} | arguments)


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("steps", ["10", [3], 10.0, True, 0, 1001, 1400])
def test_bad_steps(name, steps):
    with pytest.raises(ValueError, match="steps: expected an integer in 1 … 1000, got " + re.escape(repr(steps))):
        make_sampler(name, Schedule("cosine", 1000), steps)


def test_bad_step():
    sampler = make_sampler("ddpm", Schedule("linear"), 10)
    for i in (-1, 10):
        with pytest.raises(ValueError, match="i: expected a step in 0 … 9"):
            sampler.step(i, Z_T, Z_T, Z_T)
    with pytest.raises(ValueError, match="noise: DDPM expected shape"):
        sampler.step(0, Z_T, Z_T)
    with pytest.raises(ValueError, match="one shape.*noise"):
        sampler.step(0, Z_T, Z_T, Z_T[:1])
    with pytest.raises(ValueError, match="one shape.*output"):
        sampler.step(0, Z_T, Z_T[:1], Z_T)
    with pytest.raises(ValueError, match="one shape.*state"):
        make_sampler("dpm-solver++", Schedule("linear"), 10).step(1, Z_T, Z_T, state=Z_T[:1])


def test_bad_sample():
    schedule, sampler = Schedule("linear"), make_sampler("ddim", Schedule("linear"), 10, eta=1.0)
    with pytest.raises(ValueError, match="noise: DDIM expected shape"):
        sample(gaussian_net(schedule), Z_T, sampler)


def test_a_shift_divides_the_signal_to_noise_ratio_by_its_square():
    table = Schedule("cosine", 1000).exact_alpha_bar()
    snr = table / (1 - table)
    times = list(range(50, 900, 50))
    for shift in (0.5, 2.0, 3.0):
        moved = shifted_timesteps(times, table, shift)
        ratio = snr[times] / snr[moved] / shift**2
        assert (ratio >= 1).all() and (snr[times] / snr[[t - 1 for t in moved]] / shift**2 < 1).all()
    assert shifted_timesteps(times, table, 1.0) == times and shifted_timesteps([0, 999], table, 2.0)[1] == 999


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_can_be_shifted_and_its_last_step_needs_no_noise(name):
    sampler = make_sampler(name, Schedule("cosine"), 8, shift=2.0)
    assert sampler.timesteps == shifted_timesteps(sampler.unshifted, Schedule("cosine").exact_alpha_bar(), 2.0)
    z, state = sampler.step(7, Z_T, Z_T, state=Z_T)
    assert z.isfinite().all() and state is None
    assert torch.equal(sampler.step(0, Z_T, Z_T, Z_T, Z_T)[0], sampler.step(0, Z_T, Z_T, Z_T)[0])  # nothing was before


@pytest.mark.parametrize("name", SAMPLERS)
def test_samplers_bear_timesteps_that_repeat_after_a_shift(name):
    schedule = Schedule("linear", 100)
    sampler = make_sampler(name, schedule, 100, shift=2.0)
    assert len(set(sampler.timesteps)) < 100
    z = sample(gaussian_net(schedule), Z_T, sampler, generator=torch.Generator().manual_seed(0))
    assert (z - MU).abs().max() < 4 * S


@pytest.mark.parametrize("shift", [1.0, 2.0])
def test_a_restart_goes_back_once_and_lands_where_it_started(shift):
    plain = make_sampler("ddpm", Schedule("cosine"), 28, shift=shift).timesteps
    sampler = make_sampler("restart", Schedule("cosine"), 40, shift=shift)
    times = sampler.timesteps
    rises = [i for i, (a, b) in enumerate(zip(times, times[1:], strict=False)) if b > a]
    assert len(times) == 40 and rises == [sampler.jump]
    assert times[: sampler.jump + 1] + times[sampler.jump + 1 + 12 :] == plain
    if shift == 1:
        assert times[sampler.jump + 1] == 649 and times[sampler.jump + 13] == 285
    short = make_sampler("restart", Schedule("cosine", 100), 40)
    assert short.timesteps[short.jump + 1] == 64 and 30 >= short.timesteps[short.jump + 13] >= 27
    few = [make_sampler(name, Schedule("cosine"), 3).timesteps for name in ("restart", "ddpm")]
    assert few[0] == few[1]
    assert all(len(make_sampler("restart", Schedule("cosine"), n).timesteps) == n for n in range(1, 60))


def test_a_restart_keeps_the_noise_level_of_every_timestep():
    """With the true z0 at every step, z_t has the mean and the variance of q(z_t | z0)."""
    schedule = Schedule("cosine", 1000, dtype=torch.float64)
    sampler = make_sampler("restart", schedule, 20)
    ab = sampler.alpha_bars
    mean, variance = ab[0] ** 0.5 * MU, 1 - ab[0]
    for i in range(19):
        z, unit = torch.tensor([mean, mean + 1], dtype=torch.float64), torch.ones(2, dtype=torch.float64)
        still, _ = sampler.advance(i, z, torch.full_like(z, MU), 0 * unit, None)
        noisy, _ = sampler.advance(i, z, torch.full_like(z, MU), unit, None)
        variance = float((still[1] - still[0]) ** 2 * variance + (noisy - still)[0] ** 2)
        mean = float(still[0])
        assert mean == pytest.approx(ab[i + 1] ** 0.5 * MU, abs=1e-9)
        assert variance == pytest.approx(1 - ab[i + 1], abs=1e-9)


def test_a_restart_is_a_step_of_ddpm_to_the_low_timestep_and_then_the_forward_process():
    sampler, table = make_sampler("restart", Schedule("cosine", 1000), 40), Schedule("cosine", 1000).exact_alpha_bar()
    low, high, i = table[285].item(), table[649].item(), sampler.jump
    assert sampler.timesteps[i] > 285
    z, z0 = Z_T, Z_T.flip(0)
    c_z0, c_zt, _ = posterior_coefficients(sampler.alpha_bars[i], low)
    expected = (high / low) ** 0.5 * (c_z0 * z0 + c_zt * z)
    torch.testing.assert_close(sampler.advance(i, z, z0, torch.zeros_like(z), None)[0], expected)
