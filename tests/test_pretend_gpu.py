"""Training and sampling on a device that is not the CPU: no tensor is left behind, and the results are the same."""

import subprocess
import sys

import pytest

TRAIN = """
import sys
from dataclasses import replace

import torch

import codi_minimal.device
from codi_minimal.config import preset
from codi_minimal.data import TalkingDigits, load
from codi_minimal.recipes import SHIPPED
from codi_minimal.training import stages
from tests.pretend_gpu import pretend_gpu

torch.set_num_threads(1)


def made(device, folder):
    config = preset("tiny")
    few = {name: replace(stage, steps=6 if name == "joint" else 2) for name, stage in config.train.stages.items()}
    config = replace(config, train=replace(config.train, stages=few, cache=16, video_cache=16))
    run = stages.new_run(config, TalkingDigits(load(hub=False)), folder, device, 0, False)
    for name in run.config.train.stages:
        stages.STAGES[name].train(run)
    model = run.model
    out = {f"{name} {key}": torch.tensor(x) for name, fit in run.done.items() for key, x in fit.losses.items()}
    recipe = replace(SHIPPED, steps=2, steps_beside=4)
    how = dict(prompts={"text": "a red seven"}, outputs=("text", "image", "audio", "video"), recipe=recipe)
    return out | {f"z0.{name}": z.cpu() for name, z in model.generate_latents(**how).items()}, model.device


here, device = made("cpu", sys.argv[1] + "/cpu")
with pretend_gpu() as there:
    stages.best_device = lambda name: there
    gpu, device = made("pretend:0", sys.argv[1] + "/gpu")
assert device.type == "pretend", device
for name, x in here.items():
    torch.testing.assert_close(gpu[name], x, rtol=1e-3, atol=1e-3, msg=lambda m: f"{name}: {m}")
"""
CAPTURED = """
import sys

import torch

from codi_minimal.alignment import Environment
from tests.models import random_codi
from tests.pretend_gpu import captured, pretend_gpu

model = random_codi()
sizes = model.config.model
with pretend_gpu() as device:
    for name, modality in model.to(device).modalities.items():
        net = modality.denoiser.requires_grad_(True)
        z = torch.randn(2, *modality.latent_shape).to(device)
        t, cond = torch.full((2,), 5, device=device), torch.randn(2, sizes.d).to(device)
        env = Environment(torch.randn(2, 3, sizes.d_env).to(device), torch.ones(2, 3, dtype=torch.bool, device=device))
        with captured():
            for seen in (None, env):
                net(z, t, cond, seen).sum().backward()
    reads = (lambda: z.sum().item(), lambda: z[z > 0], lambda: z.tolist(), lambda: z.equal(z), lambda: z.unique())
    for spoiled in (*reads, lambda: z.cpu(), lambda: torch.ones(2).to(device)):
        try:
            with captured():
                spoiled()
        except RuntimeError as error:
            assert "captured graph" in str(error), error
        else:
            raise AssertionError("expected an error")
"""
MIXED = """
import torch
from tests.pretend_gpu import pretend_gpu

with pretend_gpu() as device:
    x = torch.ones(2, device=device)
    x + 1, x[torch.tensor([0])], x.copy_(torch.zeros(2)), x * torch.tensor(2.0)
    y = torch.ones(2)
    for mixed in (lambda: x + y, lambda: torch.where(x > 0, x, y), lambda: y[x > 0]):
        try:
            mixed()
        except RuntimeError as error:
            assert "same device" in str(error), error
        else:
            raise AssertionError("expected an error")
"""


def run(code: str, *args: str) -> None:
    done = subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]


def test_the_pretend_gpu_refuses_what_cuda_refuses():
    run(MIXED)


def test_denoisers_can_be_captured_as_cuda_graphs():
    run(CAPTURED)


@pytest.mark.slow
def test_all_stages_and_sampling_leave_no_tensor_on_the_cpu(tmp_path):
    run(TRAIN, str(tmp_path))
