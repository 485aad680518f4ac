"""Every loss against its equation, written out sample by sample in float64; values and gradients."""

import math

import pytest
import torch
from torch import Tensor

from codi_minimal.alignment import contrastive_loss, joint_loss
from codi_minimal.alignment.environment import CLOCK
from codi_minimal.autoencoders.audio import AudioVAE
from codi_minimal.autoencoders.base import Autoencoder, kl_divergence
from codi_minimal.autoencoders.image import ImageVAE
from codi_minimal.autoencoders.text import TextVAE
from codi_minimal.diffusion import Schedule, diffusion_loss
from codi_minimal.ours.reading import reading_loss
from codi_minimal.prompts import clip_loss
from codi_minimal.tokenizer import BOS, EOS, WordTokenizer
from codi_minimal.training.autoencoders import RESOLUTIONS, stft_distance
from codi_minimal.training.prompts import composition_loss

B = 4
SCHEDULE = Schedule("cosine", 1000, dtype=torch.float64)


def wave(*shape: int, rate: float = 0.7) -> Tensor:
    """Numbers of about unit size, with a gradient."""
    return (rate * torch.arange(math.prod(shape), dtype=torch.float64)).sin().reshape(shape).requires_grad_()


def unit(x: Tensor) -> Tensor:
    return x / (x * x).sum(-1, keepdim=True).sqrt()


def assert_same(loss: Tensor, equation: Tensor, *inputs: Tensor) -> None:
    """Equal values, and equal gradients with respect to the inputs."""
    torch.testing.assert_close(loss, equation, rtol=1e-9, atol=1e-12)
    gradients = (torch.autograd.grad(f, inputs, retain_graph=True) for f in (loss, equation))
    for got, wanted in zip(*gradients, strict=True):
        assert wanted.abs().max() > 1e-9  # the input matters
        torch.testing.assert_close(got, wanted, rtol=1e-7, atol=1e-12)


def alpha_sigma(t: int) -> tuple[float, float]:
    """√ᾱ_t and √(1 − ᾱ_t) of the cosine schedule, from its formula."""
    beta = [min(1 - f(i + 1) / f(i), 0.999) for i in range(t + 1)]
    alpha_bar = math.prod(1 - b for b in beta)
    return math.sqrt(alpha_bar), math.sqrt(1 - alpha_bar)


def f(i: int) -> float:
    return math.cos((i / 1000 + 0.008) / 1.008 * math.pi / 2) ** 2


TIMES = torch.tensor([0, 300, 700, 990])


@pytest.mark.parametrize("prediction", ["v", "epsilon"])
def test_l_d(prediction):
    z0, eps, weight = wave(B, 6), wave(B, 6, rate=0.3), wave(6, 6, rate=0.2)
    loss = diffusion_loss(lambda z, *_: z @ weight, z0, TIMES, eps, SCHEDULE, prediction=prediction)
    total = 0.0
    for i, t in enumerate(TIMES.tolist()):
        alpha, sigma = alpha_sigma(t)
        z_t = alpha * z0[i] + sigma * eps[i]
        target = alpha * eps[i] - sigma * z0[i] if prediction == "v" else eps[i]
        total = total + sum((target[k] - (z_t @ weight)[k]) ** 2 for k in range(6)) / 6 / B
    assert_same(loss, total, z0, eps, weight)


def info_nce(x: Tensor, y: Tensor, s: Tensor, positives: Tensor) -> Tensor:
    """−mean_i Σ_j p_ij log softmax_j(s x_i·y_j), one pair at a time."""
    total = 0.0
    for i in range(len(x)):
        matching = [j for j in range(len(y)) if positives[i, j]]
        exponentials = sum((s * (x[i] * y[j]).sum()).exp() for j in range(len(y)))
        for j in matching:
            total = total - ((s * (x[i] * y[j]).sum()).exp() / exponentials).log() / len(matching) / len(x)
    return total


POSITIVES = torch.tensor([[1, 0, 1, 0], [0, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1]], dtype=torch.bool)


def test_contrastive_bridging():
    x, y, s = wave(B, 3), wave(B, 3, rate=0.3), torch.tensor(5.0, dtype=torch.float64, requires_grad=True)
    loss = clip_loss(unit(x), unit(y), s, POSITIVES)
    equation = (info_nce(unit(x), unit(y), s, POSITIVES) + info_nce(unit(y), unit(x), s, POSITIVES.T)) / 2
    assert_same(loss, equation, x, y, s)


def test_composition():
    whole, a, b = wave(B, 3), wave(B, 3, rate=0.3), wave(B, 3, rate=0.45)
    s = torch.tensor(5.0, dtype=torch.float64, requires_grad=True)
    loss = composition_loss(unit(whole), [unit(a), unit(b)], s, POSITIVES)
    summed = unit((unit(a) + unit(b)) / 2)
    equation = (info_nce(summed, unit(whole), s, POSITIVES) + info_nce(unit(whole), summed, s, POSITIVES.T)) / 2
    assert_same(loss, equation, whole, a, b, s)


def test_l_con_joins_the_tokens_that_both_streams_have():
    x, y = wave(B, 2, 3 + CLOCK), wave(B, 5, 3 + CLOCK, rate=0.3)
    s = torch.tensor(5.0, dtype=torch.float64, requires_grad=True)
    loss = contrastive_loss(x, y, s, POSITIVES)
    joined = [unit(torch.cat([v[:, 0], v[:, 1]], dim=-1)) for v in (x, y)]
    equation = (info_nce(*joined, s, POSITIVES) + info_nce(*joined[::-1], s, POSITIVES.T)) / 2
    assert_same(loss, equation, x, s)
    torch.testing.assert_close(torch.autograd.grad(loss, y)[0][:, 2:], torch.zeros(B, 3, 3 + CLOCK).double())


def test_l_read():
    c, a, b, residual = (wave(B, 3, rate=rate) for rate in (0.7, 0.3, 0.45, 0.9))
    cond = c * torch.tensor([[1.0], [1.0], [0.0], [1.0]])  # the third sample has no prompt
    env = torch.zeros(B, 1, 3 + CLOCK)
    loss = reading_loss(lambda c, env: residual[:, None] + 0.1 * c, env, [a, b], cond)
    total = 0.0
    for i in range(B):
        prompts = [a[i], b[i]] if i == 2 else [cond[i], a[i], b[i]]
        error = cond[i] + residual[i] + 0.1 * cond[i] - sum(prompts) / len(prompts)
        total = total + (error * error).sum() / B
    assert_same(loss, total, c, a, b, residual)


def test_l_cross_and_the_joint_loss():
    z0 = {"a": wave(B, 6), "b": wave(B, 4, rate=0.3)}
    eps = {"a": wave(B, 6, rate=0.2), "b": wave(B, 4, rate=0.5)}
    tokens = {"a": wave(B, 1, 4 + CLOCK, rate=0.6), "b": wave(B, 1, 4 + CLOCK, rate=0.65)}
    cond, scale = wave(B, 1, rate=0.55), torch.tensor(5.0, dtype=torch.float64)
    nets = {name: lambda z, t, c, e: 0.5 * z + e.tokens[:, 0, :1] * c for name in z0}

    def loss(net, z, t, eps, cond, env):
        return diffusion_loss(net, z, t, eps, SCHEDULE, cond, env)

    l_con = contrastive_loss(tokens["a"], tokens["b"], scale, POSITIVES)
    joint, losses, con = joint_loss(loss, nets, z0, TIMES, eps, cond, tokens, scale, 0.5, POSITIVES)
    both = 0.0
    for name, other in (("a", "b"), ("b", "a")):  # each sees the tokens of the other
        total = 0.0
        for i, t in enumerate(TIMES.tolist()):
            alpha, sigma = alpha_sigma(t)
            z_t = alpha * z0[name][i] + sigma * eps[name][i]
            error = alpha * eps[name][i] - sigma * z0[name][i] - (0.5 * z_t + tokens[other][i, 0, 0] * cond[i])
            total = total + (error * error).mean() / B
        assert_same(losses[name], total, z0[name], eps[name], tokens[other], cond)
        both = both + total
    assert_same(joint, both + 0.5 * l_con, *z0.values(), *tokens.values())
    torch.testing.assert_close(con, l_con)


# ---- autoencoders


def test_kl():
    mean, logvar = wave(B, 3), wave(B, 3, rate=0.3)
    variance = [[v.exp() for v in row] for row in logvar]
    terms = [
        (m * m + variance[i][k] - 1 - variance[i][k].log()) / 2
        for i, row in enumerate(mean)
        for k, m in enumerate(row)
    ]
    assert_same(kl_divergence(mean, logvar), sum(terms) / len(terms), mean, logvar)


class Plain(Autoencoder):
    """A VAE whose mean, log-variance and decoder are given."""

    def __init__(self, mean: Tensor, logvar: Tensor):
        super().__init__((3,), kl_weight=0.25)
        self.moments = mean, logvar

    def posterior(self, x):
        return self.moments

    def reconstruction(self, x, z):
        return (x - z).abs().mean()


def test_minus_elbo():
    mean, logvar, x, noise = (wave(B, 3, rate=rate) for rate in (0.7, 0.3, 0.45, 0.9))
    losses = Plain(mean, logvar).loss(x, noise)
    z = mean + logvar.exp().sqrt() * noise
    kl = (mean**2 + logvar.exp() - 1 - logvar).sum() / 2 / (3 * B)
    assert_same(losses["loss"], (x - z).abs().sum() / (3 * B) + 0.25 * kl, mean, logvar, x, noise)


def test_reconstruction_of_images_is_the_mean_squared_error_in_minus_one_to_one():
    ae = ImageVAE(widths=(8, 8)).double()
    z, x = wave(2, *ae.latent_shape), (wave(2, 3, 32, 32, rate=0.3) + 1) / 2
    difference = ae.decoder(z) - (x - 0.5) / 0.5
    assert_same(ae.reconstruction(x, z), (difference**2).sum() / (2 * 3 * 32 * 32), z)


def test_reconstruction_of_sounds_is_the_mean_absolute_error_of_the_log_mel():
    ae = AudioVAE(mel=lambda x: x[:, None, :64, :64], vocoder=lambda m: m, widths=(8, 8, 8)).double()
    z, x = wave(2, *ae.latent_shape), wave(2, 64, 64, rate=0.3)
    difference = ae.decoder(z) - x[:, None]
    assert_same(ae.reconstruction(x, z), (difference**2).sqrt().sum() / (2 * 64 * 64), z, x)


def test_reconstruction_of_captions_is_the_negative_log_likelihood_of_their_words():
    torch.manual_seed(0)
    ae = TextVAE(WordTokenizer(["a", "red", "seven"], 4), width=16, heads=2, latent=(2, 3)).double().eval()
    z, captions = wave(2, 2, 3), ["a red seven", "seven"]
    total = 0.0
    for i, words in enumerate(([4, 5, 6, EOS], [6, EOS])):
        ids = torch.tensor([[BOS, *words]])
        for n, word in enumerate(words):
            scores = ae.logits(z[i : i + 1], ids[:, : n + 1])[0, -1]
            total = total - (scores[word].exp() / scores.exp().sum()).log() / 2
    assert_same(ae.reconstruction(captions, z), total, z)


def test_stft_distance():
    x, y = wave(1, 8192, rate=0.7), (0.8 * wave(1, 8192, rate=0.71)).detach().requires_grad_()
    total = 0.0
    for n in RESOLUTIONS:
        window = torch.hann_window(n, dtype=torch.float64)
        spectra = []
        for sound in (x, y):
            padded = torch.nn.functional.pad(sound[None], (n // 2, n // 2), mode="reflect")[0, 0]
            frames = torch.stack([padded[i : i + n] * window for i in range(0, 8192 + 1, n // 4)])
            spectra.append(torch.fft.rfft(frames).abs())
        true, fake = spectra
        convergence = ((true - fake) ** 2).sum().sqrt() / (true**2).sum().sqrt()
        floor = torch.tensor(0.05, dtype=torch.float64)
        logs = (torch.maximum(true, floor).log() - torch.maximum(fake, floor).log()).abs()
        total = total + (convergence + logs.sum() / logs.numel()) / len(RESOLUTIONS)
    loss = stft_distance(x.float(), y.float()).double()  # its windows are float32
    torch.testing.assert_close(loss, total, rtol=1e-4, atol=1e-5)
    got, wanted = (torch.autograd.grad(value, y)[0] for value in (loss, total))
    assert (got - wanted).norm() < 1e-3 * wanted.norm()
