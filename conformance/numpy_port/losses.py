"""The losses of training (SPEC.md, section 12), without gradients; and the formulas of the cases in 3-training.json."""

import math
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy import ndarray

from . import autoencoders, environment, prompts, sampling, spectrogram, tokenizer, unet
from .checkpoint import Params
from .layers import normalized

MODULUS = 65537
CONTENT = -environment.CLOCK  # what comes before a token's clock


def numbers(name: str, *shape: int) -> ndarray:
    """x_i = 2 (k² mod 65537) / 65537 − 1, k = (CRC-32 of the name + i) mod 65537."""
    k = (zlib.crc32(name.encode()) + np.arange(math.prod(shape))) % MODULUS
    return (2 * (k * k % MODULUS) / MODULUS - 1).reshape(shape)


def weight(name: str, *shape: int) -> ndarray:
    """The tensor of this name of the tiny model."""
    if len(shape) > 1:
        return math.sqrt(3 / math.prod(shape[1:])) * numbers(name, *shape)
    return 0.1 * numbers(name, *shape) + (1.0 if name.endswith("weight") else 0.0)


def given(name: str, x: Any) -> Any:
    """An input of a case: by formula, or as it stands in the file."""
    if not isinstance(x, dict):
        return x
    y = numbers(f"input {name}", *x["shape"])
    y = {"noise": math.sqrt(3) * y, "picture": (1 + y) / 2, "wave": y / 2, "unit": normalized(y)}[x["kind"]]
    y[x.get("zero", [])] = 0
    return y


def log_softmax(x: ndarray) -> ndarray:
    x = x - x.max(axis=-1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


def clip_loss(x: ndarray, y: ndarray, scale: float, positives: Any = None) -> float:
    """Symmetric InfoNCE; all positives of a row share its target."""
    match = np.eye(len(x)) if positives is None else np.array(positives, float)
    logits = scale * x @ y.T
    return sum(
        -(m / m.sum(1, keepdims=True) * log_softmax(a)).sum(1).mean() for a, m in ((logits, match), (logits.T, match.T))
    ) / 2  # fmt: skip


def mixture(
    prompts: ndarray, u: ndarray, kept: ndarray, certain: ndarray, u_certain: ndarray, kind: ndarray, unit: ndarray,
    noise: ndarray, null: ndarray,
) -> ndarray:  # fmt: skip
    """The condition of training (b, d) from prompts (k, b, d), whose last may be untrue; all else is random."""
    one = np.eye(len(prompts))
    w = -np.log(1 - u) * (kept < 0.6) + one[certain].T * (0.3 + u_certain)
    w = np.where(kind < 0.6, one[(kind >= 0.4).astype(int)].T, w)
    c = np.einsum("kb,kbd->bd", w / w.sum(0), prompts)
    c = np.where(unit[:, None] < 0.5, normalized(c), c) + 0.02 * noise
    return c * (null[:, None] >= 0.1)


class Losses:
    """Each stage's loss, of a model that is given by its tensors, its config and its vocabulary.

    `constant`: the tensors that count where no gradient flows; None: the same.
    """

    def __init__(
        self, tensors: Mapping[str, ndarray], config: Mapping[str, Any], vocabulary: list[str], constant=None
    ) -> None:
        self.p, self.config, self.vocabulary = Params(dict(tensors)), config, vocabulary
        self.constant = self if constant is None else Losses(constant, config, vocabulary)
        self.bars = np.array(sampling.alpha_bars(config["T"]))

    def part(self, name: str, kind: str) -> Params:
        return self.p("modalities")(name)(kind)

    def ids(self, captions: list[str]) -> ndarray:
        return tokenizer.encode(captions, self.vocabulary, self.config["max_words"])

    def prompt(self, name: str, x: Any) -> ndarray:
        return getattr(prompts, f"encode_{name}")(self.part(name, "prompt"), self.ids(x) if name == "text" else x)

    def scale(self) -> float:
        """1 / τ of the contrastive losses."""
        return float(np.exp(np.clip(self.p("temperature").log_scale, 0, math.log(100))))

    def noised(self, z0: ndarray, t: Any, eps: ndarray) -> tuple[ndarray, ndarray]:
        """z_t and the target v."""
        a = self.bars[t].reshape(-1, *[1] * (z0.ndim - 1))
        return np.sqrt(a) * z0 + np.sqrt(1 - a) * eps, np.sqrt(a) * eps - np.sqrt(1 - a) * z0

    def tokens(self, name: str, z0: ndarray, t: Any, eps: ndarray) -> ndarray:
        return environment.tokens(self.part(name, "environment"), name, self.noised(z0, t, eps)[0], np.array(t))

    def elbo(self, modality: str, x: Any, noise: ndarray) -> dict[str, float]:
        """−ELBO: a reconstruction and the weighted KL. Captions have every third word hidden, on a lattice."""
        p, data = self.part(modality, "autoencoder"), self.ids(x) if modality == "text" else x
        mean, log_variance = np.split(getattr(autoencoders, f"moments_{modality}")(p, data), 2, axis=1)
        log_variance = np.clip(log_variance, *((-12, 4) if modality == "text" else (-20, 10)))
        z = mean + np.exp(log_variance / 2) * noise
        if modality == "text":
            row, column = np.indices(data[:, :-1].shape)
            hidden = (row * 0.7548776662 + column * 0.5698402910) % 1 < 0.3
            seen = np.where(hidden & (data[:, :-1] > tokenizer.UNK), tokenizer.UNK, data[:, :-1])
            said = log_softmax(autoencoders.next_words(p, z, seen))
            said = np.take_along_axis(said, data[:, 1:, None], 2)[..., 0]
            far, share = -(said * (data[:, 1:] != tokenizer.PAD)).sum() / len(data), 0.1
        else:
            made = autoencoders.decoder(p("decoder"), z)
            far = ((made - (2 * x - 1)) ** 2).mean() if modality == "image" else 0.0
            far = np.abs(made - spectrogram.log_mel(x)).mean() if modality == "audio" else far
            share = 1e-4 if modality == "image" else 1e-3
        kl = 0.5 * (mean**2 + np.exp(log_variance) - 1 - log_variance).mean()
        return {"loss": far + share * kl, "reconstruction": far, "kl": kl}

    def bridge(self, modality: str, x: ndarray, captions: list[str], positives: Any, parts=()) -> dict[str, float]:
        """Contrastive; composition where C_text is trained; ours: 3 (1 − cosine) to whole captions."""
        said, shown = self.prompt("text", captions), self.prompt(modality, x)
        terms = {"contrastive": clip_loss(said, shown, self.scale(), positives)}
        if parts:
            whole = normalized(sum(self.prompt("text", part) for part in parts) / len(parts))
            terms["composition"] = clip_loss(whole, said, self.scale(), positives)
        terms["whole captions"] = 3 * (1 - (shown * self.constant.prompt("text", captions)).sum(-1)).mean()
        return {"loss": sum(terms.values()), **terms}

    def L_D(self, modality: str, z0, eps, t, cond, env=None, present=None) -> dict[str, float]:
        """mean (v − ε_m(z_t, t, C, V))²."""
        z, v = self.noised(z0, t, eps)
        made = unet.denoise(self.part(modality, "denoiser"), modality, z, np.array(t), cond, env, present)
        return {"loss": ((made - v) ** 2).mean()}

    def L_Con(self, pair: list[str], positives: Any = None, **x: Any) -> dict[str, float]:
        a, b = (self.tokens(m, x[f"z0.{m}"], x[f"t.{m}"], x[f"eps.{m}"]) for m in pair)
        n = min(a.shape[1], b.shape[1])
        a, b = (normalized(y[:, :n].reshape(len(y), -1)) for y in (a, b))
        return {"loss": clip_loss(a, b, self.scale(), positives)}

    def L_Read(self, pair: list[str], by: str, cond: ndarray, **x: Any) -> dict[str, float]:
        """‖C + R(C, V) − the mixture of C and all C_B‖², R the attention of conditions of the denoiser `by`."""
        env = np.concatenate([self.tokens(m, x[f"z0.{m}"], x[f"t.{m}"], x[f"eps.{m}"]) for m in pair], axis=1)
        p, present = self.part(by, "denoiser")("environment_attention"), np.ones(env.shape[:2], bool)
        read = environment.attention_to_others(p, cond[:, None], env, present, 0)[:, 0]
        n = len(pair) + (np.abs(cond).sum(-1, keepdims=True) > 0)
        mixture = (cond + sum(x[f"said.{m}"] for m in pair)) / n
        return {"loss": ((cond + read - mixture) ** 2).sum(-1).mean()}

    def joint(self, pair, lam, cond, t, clock_alone, nothing, positives=None, **x: Any) -> dict[str, float]:
        """Σ L_Cross + λ L_Con at the same t. Of some rows no token is present, or only clock tokens are."""
        at = {m: self.tokens(m, x[f"z0.{m}"], t, x[f"eps.{m}"]) for m in pair}
        terms = {}
        for m, other in (pair, pair[::-1]):
            env = at[other]
            clocked = (env[..., CONTENT:] != 0).any(-1)
            present = ~np.array(nothing)[:, None] & (clocked | ~np.array(clock_alone)[:, None])
            loss = self.L_D(m, x[f"z0.{m}"], x[f"eps.{m}"], t, cond, env, present)
            terms[f"L_Cross of {m}"] = loss["loss"]
        l_con = self.L_Con(pair, positives, **x, **{f"t.{m}": t for m in pair})["loss"]
        return {"loss": sum(terms.values()) + lam * l_con, **terms, "L_Con": l_con}
