"""Schedules and samplers against diffusers'. Theirs compute in float32, ours in float64."""

import warnings

import pytest
import torch

from codi_minimal.diffusion import Schedule, make_sampler, q_sample, target

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # theirs
    diffusers = pytest.importorskip("diffusers")
    from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler

THEIR_NAME = {"linear": "linear", "scaled_linear": "scaled_linear", "cosine": "squaredcos_cap_v2"}
RANGES = {"linear": (1e-4, 0.02), "scaled_linear": (0.00085, 0.012), "cosine": (1e-4, 0.02)}
THEIR_PREDICTION = {"v": "v_prediction", "epsilon": "epsilon"}
Z_T = torch.linspace(-2, 2, 24).reshape(2, 3, 4)


def theirs(cls, name, prediction="v", **kwargs):
    beta_start, beta_end = RANGES[name]
    return cls(
        num_train_timesteps=1000,
        beta_start=beta_start,
        beta_end=beta_end,
        beta_schedule=THEIR_NAME[name],
        prediction_type=THEIR_PREDICTION[prediction],
        timestep_spacing="trailing",
        **kwargs,
    )


def net(z, t):
    return torch.sin(z + int(t) / 1000)


def trajectories(ours, scheduler, steps, **step_kwargs):
    """Both samplers, each on its own path, with the same noise at each step."""
    scheduler.set_timesteps(steps)
    assert ours.timesteps == scheduler.timesteps.tolist()
    mine, other, state = Z_T, Z_T, None
    generator, twin = torch.Generator().manual_seed(0), torch.Generator().manual_seed(0)
    for i, t in enumerate(scheduler.timesteps):
        noise = torch.randn(Z_T.shape, generator=generator) if ours.stochastic else None
        mine, state = ours.step(i, mine, net(mine, t), noise, state)
        other = scheduler.step(net(other, t), t, other, generator=twin, **step_kwargs).prev_sample
        yield mine, other


def assert_close_in_scale(mine, other):
    """eps with cosine divides by sqrt(alpha_bar[T-1]) = 5e-5, so values, and float32's errors, are large."""
    scale = max(1.0, other.abs().max().item())
    torch.testing.assert_close(mine / scale, other / scale, rtol=0, atol=2e-4)


@pytest.mark.parametrize("name", THEIR_NAME)
def test_schedule(name):
    schedule, scheduler = Schedule(name, 1000), theirs(DDPMScheduler, name)
    torch.testing.assert_close(schedule.beta, scheduler.betas, rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(schedule.alpha_bar, scheduler.alphas_cumprod, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("name", THEIR_NAME)
def test_add_noise_and_velocity(name):
    schedule, scheduler = Schedule(name, 1000), theirs(DDPMScheduler, name)
    t, eps = torch.tensor([0, 777]), Z_T.flip(0).cos()
    torch.testing.assert_close(
        q_sample(schedule, Z_T, t, eps), scheduler.add_noise(Z_T, eps, t), rtol=0, atol=1e-5
    )
    torch.testing.assert_close(
        target(schedule, Z_T, t, eps, "v"), scheduler.get_velocity(Z_T, eps, t), rtol=0, atol=1e-5
    )


CASES = [(name, prediction) for name in THEIR_NAME for prediction in THEIR_PREDICTION]


@pytest.mark.parametrize("name, prediction", CASES)
@pytest.mark.parametrize("steps", [1, 10, 50])
def test_ddpm(name, prediction, steps):
    scheduler = theirs(DDPMScheduler, name, prediction, variance_type="fixed_small", clip_sample=False)
    ours = make_sampler("ddpm", Schedule(name), steps, prediction)
    for mine, other in trajectories(ours, scheduler, steps):
        assert_close_in_scale(mine, other)


@pytest.mark.parametrize("name, prediction", CASES)
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_ddim(name, prediction, eta):
    scheduler = theirs(DDIMScheduler, name, prediction, clip_sample=False, set_alpha_to_one=True)
    ours = make_sampler("ddim", Schedule(name), 20, prediction, eta=eta)
    for mine, other in trajectories(ours, scheduler, 20, eta=eta):
        assert_close_in_scale(mine, other)


@pytest.mark.parametrize("clip", [0.5, 2.0])
def test_ddim_clip(clip):
    scheduler = theirs(DDIMScheduler, "linear", "epsilon", clip_sample=True, clip_sample_range=clip)
    ours = make_sampler("ddim", Schedule("linear"), 20, "epsilon", clip=clip)
    for mine, other in trajectories(ours, scheduler, 20, use_clipped_model_output=True):
        assert_close_in_scale(mine, other)


@pytest.mark.parametrize("name, prediction", CASES)
@pytest.mark.parametrize("steps", [1, 2, 10, 25])
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # theirs, with NumPy 2
def test_dpm_solver(name, prediction, steps):
    scheduler = theirs(DPMSolverMultistepScheduler, name, prediction, final_sigmas_type="zero")
    assert (scheduler.config.algorithm_type, scheduler.config.solver_order) == ("dpmsolver++", 2)
    ours = make_sampler("dpm-solver++", Schedule(name), steps, prediction)
    for mine, other in trajectories(ours, scheduler, steps):
        assert_close_in_scale(mine, other)
