"""0-primitives.json: the file is what its formulas give, and both torch's modules and the NumPy port agree with it."""

import json
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from codi_minimal import layers as torch_layers
from codi_minimal.alignment.environment import clock_code, slots, with_motion
from codi_minimal.denoisers import latent_shift
from codi_minimal.diffusion import Schedule, make_sampler
from codi_minimal.diffusion.timesteps import trailing_timesteps
from codi_minimal.modality import Modality
from codi_minimal.spectrogram import MelSpectrogram
from codi_minimal.tokenizer import WordTokenizer, spell_articles
from codi_minimal.training.conditions import mixed_condition
from codi_minimal.training.fit import fit
from codi_minimal.training.optimizer import EMA, learning_rate
from conformance import make_primitives
from conformance.numpy_port import environment, layers, losses, noise, optimizer, sampling, spectrogram, tokenizer, unet
from conformance.numpy_port.checkpoint import Params

CASES = {case["case"]: case for case in json.loads(make_primitives.FILE.read_text(encoding="utf-8"))}
TABLE = sampling.alpha_bars(1000)


def params(**tensors) -> Params:
    return Params({name: np.array(x) for name, x in tensors.items()})


def wave(samples: int) -> np.ndarray:
    i = np.arange(samples)
    return (np.sin(0.3 * i) * (1 + i / 8192))[None]


def attention(x, context, q, kv, out, bias):
    p = Params({"q.weight": np.array(q), "kv.weight": np.array(kv), "out.weight": np.array(out)})
    p.tensors["out.bias"] = np.array(bias)
    return layers.attention(p, np.array(x), np.array(context))


def restart(steps, shift=1.0):
    return sampling.Sampler("restart", 1000, steps, shift).times


def row(tensors) -> np.ndarray:
    return np.concatenate([np.array(x) for x in tensors])


NUMPY = {
    "conv": lambda x, weight, bias, stride, padding: layers.conv(
        params(weight=weight, bias=bias), np.array(x), stride, padding
    ),
    "layer_norm": lambda x, **p: layers.layer_norm(params(**p), np.array(x)),
    "group_norm": lambda x, **p: layers.group_norm(params(**p), np.array(x)),
    "gelu": lambda x: layers.gelu(np.array(x)),
    "silu": lambda x: layers.silu(np.array(x)),
    "time_embedding": lambda t, width: layers.time_embedding(np.array(t), width, float),
    "attention": attention,
    "pixel_shuffle": lambda x: layers.pixel_shuffle(np.array(x)),
    "latent_shift": lambda x: unet.latent_shift(np.array(x)),
    "with_motion": lambda x: environment.with_motion(np.array(x)),
    "clock_code": lambda n: environment.clock_code(n, float),
    "patches": lambda name, x: environment.patches(name, np.array(x)),
    "filters": lambda scale, bands: spectrogram.filters(scale)[bands],
    "stft_magnitude": lambda samples, frames, bins: np.abs(spectrogram.stft(wave(samples)))[0][bins][:, frames],
    "timesteps": lambda steps: sampling.trailing(1000, steps),
    "restart_timesteps": restart,
    "alpha_bar": lambda t: [TABLE[s] for s in t],
    "tokenizer_encode": lambda texts, **words: tokenizer.encode(texts, **words),
    "spell_articles": lambda texts: [tokenizer.spell_articles(text) for text in texts],
    "noise": lambda seed, modality, use, n: noise.generator(seed, modality, use).normal((n,), float),
    "learning_rate": lambda steps, lr, at: [optimizer.learning_rate(i, steps, lr) for i in at],
    "average_decay": lambda at: [optimizer.average_decay(i) for i in at],
    "train": lambda theta, gradients, lr: optimizer.train(row(theta), np.array([row(g) for g in gradients]), lr),
    "mixture": lambda **given: losses.mixture(**{name: np.array(x) for name, x in given.items()}),
}


def tensor(x) -> torch.Tensor:
    return torch.tensor(x, dtype=torch.float64)


def torch_attention(x, context, q, kv, out, bias):
    module = torch_layers.Attention(64, 6).double()
    named = {"q.weight": q, "kv.weight": kv, "out.weight": out, "out.bias": bias}
    module.load_state_dict({name: tensor(value) for name, value in named.items()})
    return module(tensor(x), tensor(context))


def torch_stft(samples, frames, bins):
    x, window = torch.tensor(wave(samples)), torch.hann_window(256, dtype=torch.float64)
    return torch.stft(x, 512, 128, 256, window, return_complex=True).abs()[0][bins][:, frames]


def torch_filters(scale, bands):
    return MelSpectrogram(1, scale, "slaney" if scale == "slaney" else None).filters[bands]


def torch_noise(seed, modality, use, n):
    (generator,) = Modality.generators(SimpleNamespace(name=modality), [seed], use)
    return torch.randn(n, generator=generator)


def torch_restart(steps, shift=1.0):
    return make_sampler("restart", Schedule("cosine", 1000), steps, shift=shift).timesteps


def torch_train(theta, gradients, lr):
    """The last weights, and their average, of a loss that has these gradients."""
    ends = []
    for ema in (None, 0.999):
        module = torch.nn.ParameterList([tensor(x) for x in theta])
        with TemporaryDirectory() as folder:
            how = {"steps": len(gradients), "lr": lr, "folder": folder, "name": "x", "ema": ema, "progress": False}
            fit(module, lambda i, _, m=module: {"loss": (tensor(row(gradients[i])) * torch.cat([*m])).sum()}, **how)
        ends.append(torch.cat([p.detach() for p in module]))
    return torch.stack(ends)


def torch_decay(at):
    """How much of an average of 0 is left beside a weight of 1."""
    averages = []
    for i in at:
        average = EMA({"theta": torch.zeros(1, dtype=torch.float64)})
        average.weights["theta"].fill_(1)
        average.update(i)
        averages.append(1 - average.shadow["theta"].item())
    return averages


def torch_mixture(prompts, u, kept, certain, u_certain, kind, unit, noise, null):
    drawn = iter([tensor(x) for x in (u, kept, u_certain, kind, unit, null)])
    with (
        patch("torch.rand", lambda *_, **__: next(drawn)),
        patch("torch.randint", lambda *_, **__: torch.tensor(certain)),
        patch("torch.randn", lambda *_, **__: tensor(noise)),
    ):
        *true, extra = tensor(prompts)
        return mixed_condition(true, extra, torch.Generator(), p_null=0.1, noise=0.02)


TORCH = {
    "conv": lambda x, weight, bias, stride, padding: F.conv2d(
        tensor(x), tensor(weight), tensor(bias), stride=stride, padding=padding
    ),
    "layer_norm": lambda x, weight, bias: F.layer_norm(tensor(x), (16,), tensor(weight), tensor(bias)),
    "group_norm": lambda x, weight, bias: F.group_norm(tensor(x), 8, tensor(weight), tensor(bias)),
    "gelu": lambda x: torch.nn.GELU()(tensor(x)),
    "silu": lambda x: F.silu(tensor(x)),
    "time_embedding": lambda t, width: torch_layers.time_embedding(torch.tensor(t), width, dtype=torch.float64),
    "attention": torch_attention,
    "pixel_shuffle": lambda x: F.pixel_shuffle(tensor(x), 2),
    "latent_shift": lambda x: latent_shift(tensor(x)),
    "with_motion": lambda x: with_motion(tensor(x)),
    "clock_code": lambda n: clock_code(slots(n)),
    "filters": torch_filters,
    "stft_magnitude": torch_stft,
    "timesteps": lambda steps: trailing_timesteps(1000, steps),
    "restart_timesteps": torch_restart,
    "alpha_bar": lambda t: Schedule("cosine", 1000).exact_alpha_bar()[t],
    "tokenizer_encode": lambda texts, vocabulary, max_words: WordTokenizer(vocabulary, max_words).encode(texts),
    "spell_articles": lambda texts: [spell_articles(text) for text in texts],
    "noise": torch_noise,
    "learning_rate": lambda steps, lr, at: [learning_rate(i, steps, lr) for i in at],
    "average_decay": torch_decay,
    "train": torch_train,
    "mixture": torch_mixture,
}
SINGLE = {"clock_code": 1e-6, "filters": 1e-5, "noise": 1e-6}  # what is computed in float32


def close(found, expected, tolerance: float = 1e-9) -> bool:
    if isinstance(expected[0], str):
        return found == expected
    found, expected = np.asarray(found, float), np.asarray(expected, float)
    return found.shape == expected.shape and np.abs(found - expected).max() <= tolerance * max(
        1, np.abs(expected).max()
    )


def test_the_file_is_what_its_formulas_give(tmp_path):
    make_primitives.write(tmp_path / "again.json")
    again = json.loads((tmp_path / "again.json").read_text(encoding="utf-8"))
    assert len(again) == len(CASES) and all(case["case"] in CASES for case in again)
    for case in again:  # another machine's sine may differ in the last bit
        kept = CASES[case["case"]]
        assert case["op"] == kept["op"] and close(case["output"], kept["output"], 1e-12), case["case"]


@pytest.mark.parametrize("name", CASES)
def test_the_numpy_port_agrees(name):
    case = CASES[name]
    found = NUMPY[case["op"]](**case["inputs"])
    assert close(found, case["output"], 1e-6 if "noise" in case["op"] else 1e-9)  # which is in float32, as torch's


@pytest.mark.filterwarnings("ignore:text. ignored")
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case["op"] in TORCH])
def test_the_package_agrees(name):
    case = CASES[name]
    found = TORCH[case["op"]](**case["inputs"])
    found = found.detach() if isinstance(found, torch.Tensor) else found
    assert close(found, case["output"], SINGLE.get(case["op"], 1e-9))


def test_every_operation_is_tried():
    assert set(NUMPY) == {case["op"] for case in CASES.values()} and set(NUMPY) - set(TORCH) == {"patches"}
