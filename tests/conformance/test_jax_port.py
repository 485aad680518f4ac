"""The JAX port passes the kit's cases of texts and images, makes the kit's samples, and a wrong guess fails."""

import json
import runpy
import sys

import numpy as np
import pytest

from conformance import check

jax = pytest.importorskip("jax")
from conformance.jax_port import kit, layers  # noqa: E402
from conformance.jax_port.codi import CoDi  # noqa: E402
from conformance.jax_port.unet import denoise  # noqa: E402
from conformance.numpy_port import losses  # noqa: E402
from conformance.numpy_port.checkpoint import Params  # noqa: E402

CASES = 23  # that are about texts and images alone: 20 of parts, and three runs


@pytest.fixture(scope="module", autouse=True)
def compiling_fast():
    """Code that is compiled in half the time, and is slower."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
    jax.clear_caches()


def test_its_command_passes_the_kit(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(sys, "argv", ["conformance.jax_port", str(tmp_path)])
    runpy.run_module("conformance.jax_port", run_name="__main__")
    assert check.main(str(tmp_path)) == 0, capsys.readouterr().out
    told = capsys.readouterr().out
    assert f"\n{CASES} of " in told and " pass, 0 fail" in told


@pytest.mark.parametrize("title", ["text to image", "nothing to image and text"])
def test_whole_runs_end_in_the_kits_samples(title):
    """The kit's cases are single steps; here each step starts from the port's own z."""
    cases = json.loads((check.FOLDER / "manifest.json").read_text(encoding="utf-8"))
    (case,) = [case for case in cases if case["case"] == title]
    asked = {"text": [case["texts"]["in/x.text"]]} if case["options"]["prompts"] else {}
    made = CoDi(kit.WEIGHTS).generate(asked, tuple(case["options"]["streams"]), case["options"]["seed"])
    expected = np.load(check.FOLDER / case["file"])[f"{title}/out/x.image"]
    assert np.abs(np.round(255 * made["image"]) - expected).max() <= 1
    assert made.get("text") == case["texts"].get("out/x.text")


@pytest.mark.parametrize("name", ["text", "image"])
def test_the_gradient_of_the_diffusion_loss_is_that_of_torch(name):
    """With weights by formula, in double precision."""
    stored = json.loads((check.FOLDER / "3-training.json").read_text(encoding="utf-8"))
    (case,) = [case for case in stored["cases"] if case["case"] == f"L_D of {name}"]
    inputs = {key: losses.given(key, x) for key, x in case["inputs"].items()}
    shapes = stored["parameters"]
    tensors = {key: losses.weight(key, *shapes[key]) for key in case["gradient"]}
    z, v = losses.Losses({}, stored["config"], []).noised(inputs["z0"], inputs["t"], inputs["eps"])

    def loss(tensors):
        p = Params(tensors, f"modalities.{name}.denoiser.")
        return ((denoise(p, z, np.array(inputs["t"]), inputs["cond"]) - v) ** 2).mean()

    with jax.enable_x64(True):
        value, gradient = jax.device_get(jax.jit(jax.value_and_grad(loss))(tensors))
    found = {
        key: [float((g**2).sum() ** 0.5), float((g * losses.numbers(f"direction {key}", *g.shape)).sum())]
        for key, g in gradient.items()
    }
    assert check.verdict_of_training(case, {"terms": {"loss": float(value)}, "gradient": found}) == ""


def test_gelu_by_tanh_fails(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(layers, "gelu", lambda x: jax.nn.gelu(x, approximate=True))
    jax.clear_caches()  # of what is compiled with the exact one
    kit.run(tmp_path, only=("transformer",))
    assert check.main(str(tmp_path)) == 2, capsys.readouterr().out  # of texts and of images
    assert "SPEC.md, transformer" in capsys.readouterr().out
    jax.clear_caches()
