"""Against tests/golden/diffusion.json, whose generator shares no code with the package."""

import json
import runpy
from pathlib import Path

import pytest
import torch

from codi_minimal.diffusion import (
    Schedule,
    classifier_free_guidance,
    diffusion_loss,
    make_sampler,
    posterior_coefficients,
    q_sample,
    target,
)

GOLDEN = Path(__file__).parents[1] / "golden"
VECTORS = json.loads((GOLDEN / "diffusion.json").read_text())
J = torch.arange(6, dtype=torch.float64)[None]
Z0, EPS, Z_T = (0.1 * J).sin(), (0.2 * J).cos(), (0.5 * J + 1).cos()


def net(z, t, cond, env):
    return 0.6 * z - 0.2 * t[:, None].double() / 1000


def close(actual, expected):
    expected = torch.as_tensor(expected, dtype=torch.float64)
    torch.testing.assert_close(actual.squeeze(), expected, rtol=1e-9, atol=1e-12)


def test_generator_reproduces_the_file():
    made = runpy.run_path(str(GOLDEN / "make_diffusion.py"))["vectors"]()
    for name, tables in VECTORS["schedules"].items():
        assert made["schedules"][name]["alpha_bar"] == pytest.approx(tables["alpha_bar"], rel=1e-12)
    for ours, theirs in zip(made["samples"], VECTORS["samples"], strict=True):
        assert ours["z0"] == pytest.approx(theirs["z0"], rel=1e-9)


@pytest.mark.parametrize("name", VECTORS["schedules"])
def test_schedules(name):
    schedule = Schedule(name, 1000, dtype=torch.float64)
    for table, expected in VECTORS["schedules"][name].items():
        close(getattr(schedule, table)[VECTORS["times"]], expected)


@pytest.mark.parametrize("row", VECTORS["process"], ids=lambda row: f"{row['schedule']}-{row['t']}")
def test_process_and_loss(row):
    schedule, t = Schedule(row["schedule"], 1000, dtype=torch.float64), torch.tensor([row["t"]])
    z_t = q_sample(schedule, Z0, t, EPS)
    before = schedule.alpha_bar[t - 1] if t else torch.ones(1, dtype=torch.float64)
    c_z0, c_zt, variance = posterior_coefficients(schedule.alpha_bar[t], before)
    close(z_t, row["z_t"])
    close(target(schedule, Z0, t, EPS, "v"), row["v"])
    close(c_z0 * Z0 + c_zt * z_t, row["posterior_mean"])
    close(variance, row["posterior_variance"])
    close(diffusion_loss(net, Z0, t, EPS, schedule, prediction="v"), row["loss_v"])


@pytest.mark.parametrize(
    "row", VECTORS["samples"], ids=lambda row: "-".join(str(row[key]) for key in ("sampler", "eta", "schedule"))
)
def test_samplers(row):
    schedule = Schedule(row["schedule"], 1000)
    sampler = make_sampler(row["sampler"], schedule, row["steps"], row["prediction"], row["eta"])
    z, state = Z_T, None
    for i, t in enumerate(sampler.timesteps):
        noise = (0.7 * i + 0.3 * J + 2).sin()
        z, state = sampler.step(i, z, net(z, torch.tensor([t]), None, None), noise, state)
    close(z, row["z0"])


@pytest.mark.parametrize("row", VECTORS["guidance"], ids=lambda row: str(row["g"]))
def test_guidance(row):
    close(classifier_free_guidance(EPS, Z0, row["g"]), row["output"])
