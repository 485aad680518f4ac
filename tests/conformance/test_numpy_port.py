"""The NumPy port gives what the package gives, part by part and as a whole, and needs no torch."""

import ast
import subprocess
import sys
import tokenize
from pathlib import Path

import numpy as np
import pytest
import torch

from codi_minimal import CoDi
from codi_minimal.alignment import Environment
from codi_minimal.codi import SHIPPED_WEIGHTS
from codi_minimal.data import load
from codi_minimal.data.world import World
from conformance.numpy_port import noise, unet
from conformance.numpy_port.checkpoint import listed, read_tensors
from conformance.numpy_port.codi import CoDi as Port

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "conformance" / "numpy_port"
NAMES = ("text", "image", "audio", "video")
TOLERANCE = 5e-6  # of the largest value
LINES = 700
BEYOND = ("kit", "losses", "optimizer")  # what is not inference
NO_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING,
           tokenize.ENDMARKER}  # fmt: skip


@pytest.fixture(scope="module")
def model():
    return CoDi.from_pretrained(device="cpu")


@pytest.fixture(scope="module")
def port():
    return Port(SHIPPED_WEIGHTS)


@pytest.fixture(scope="module")
def scenes():
    return World(load(hub=False)).sample(2, torch.Generator().manual_seed(0))[1]


def plain(x):
    return x if isinstance(x, list) else x.numpy()


def assert_close(found, expected, tolerance: float = TOLERANCE) -> None:
    expected = plain(expected)
    if isinstance(expected, list):
        assert found == expected
    else:
        assert found.shape == expected.shape and np.abs(found - expected).max() <= tolerance * np.abs(expected).max()


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_every_part_of_a_modality_is_the_same(model, port, scenes, name):
    x, m, g = scenes[name], model.modalities[name], torch.Generator().manual_seed(1)
    assert_close(port.prompt(name, plain(x)), model.encode_prompt(name, x))
    z0 = m.encode(x)
    assert_close(port.encode(name, plain(x)), z0)
    t, z = torch.tensor([700, 700]), torch.randn(z0.shape, generator=g)
    assert_close(port.tokens(name, z.numpy(), 700), m.environment(z, t))
    others = {o: torch.randn(2, *model.modalities[o].latent_shape, generator=g) for o in NAMES if o != name}
    env = Environment.of([model.modalities[o].environment(x, t) for o, x in others.items()])
    cond = model.encode_prompt("text", scenes["text"])
    asked = (port.part(name, "denoiser"), name, z.numpy(), t.numpy(), cond.numpy())
    assert_close(unet.denoise(*asked, env.tokens.numpy(), env.present.numpy()), m.denoiser(z, t, cond, env))
    assert_close(unet.denoise(*asked, None, None), m.denoiser(z, t, cond))
    decoded = port.decode(name, z0.numpy())
    # Griffin and Lim's rounds multiply any rounding by ten thousand
    assert_close(decoded, model.decode(name, z0), 0.1 if name == "audio" else TOLERANCE)


@pytest.mark.parametrize("name", NAMES)
def test_noise_is_that_of_torch(model, name):
    expected = model.modalities[name].initial_noise([7, 2**40 + 1]).numpy()
    found = np.concatenate([[noise.generator(s, name).normal(expected.shape[1:], np.float32)] for s in (7, 2**40 + 1)])
    assert np.abs(found - expected).max() < 1e-6
    drawn = model.noise_of(3, 5)[name].numpy()[0]
    assert np.abs(noise.generator(noise.sample_seed(3, 5), name).normal(drawn.shape, np.float32) - drawn).max() < 1e-6


@pytest.mark.parametrize(
    ("prompts", "outputs", "options"),
    [
        (("text",), ("image",), {}),
        ((), ("text", "image", "audio"), {"steps": 4}),
        (("image", "video"), ("text", "image"), {"steps": 4, "weights": {"image": 0.3, "video": 1.0}}),
        (("text",), ("image", "audio"), {"steps": 4, "given": ("video",)}),
    ],
)
def test_any_prompts_become_the_same_outputs(model, port, scenes, prompts, outputs, options):
    options = dict(options)
    given = {name: scenes[name][:1] for name in options.pop("given", ())}
    asked = {name: [scenes[name][:1]] for name in prompts}
    expected = model.generate(asked, outputs, seed=3, given=given or None, **options)
    asked = {name: [plain(batch) for batch in batches] for name, batches in asked.items()}
    found = port.generate(asked, outputs, seed=3, given={name: plain(x) for name, x in given.items()}, **options)
    for name in outputs:
        assert_close(found[name], expected[name], 0.1 if name == "audio" else 1e-4)


def test_it_runs_without_torch_and_fits_on_a_few_pages():
    code = """
import sys
sys.modules["torch"] = None
from conformance.numpy_port.codi import CoDi
made = CoDi("codi_minimal/weights/small").generate({"text": [["a red seven"]]}, ("text",), steps=2)
print(made["text"][0])
"""
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0 and run.stdout.strip(), run.stderr
    assert sum(lines_of_code(path) for path in FOLDER.glob("*.py") if path.stem not in BEYOND) <= LINES


def test_all_tensors_of_a_checkpoint_are_listed(model):
    found = {line.split()[0]: line for line in listed(SHIPPED_WEIGHTS)}
    assert set(found) == set(read_tensors(SHIPPED_WEIGHTS / "model.safetensors"))
    name, weight = next((name, p) for name, p in model.named_parameters() if p.ndim == 4)
    assert found[name] == f"{name} {list(weight.shape)} {weight.abs().double().mean().item():.6g}"


def lines_of_code(path: Path) -> int:
    """The lines on which something stands other than comments and docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    lines = {token.start[0] for token in tokenize.tokenize(path.open("rb").readline) if token.type not in NO_CODE}
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines -= set(range(node.lineno, node.end_lineno + 1))
    return len(lines)
