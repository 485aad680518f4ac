"""The prompt encoders C_m, unit vectors (b, d) in one space, and their mixture."""

import numpy as np
from numpy import ndarray

from . import spectrogram, tokenizer
from .checkpoint import Params
from .layers import conv, group_norm, linear, normalized, res_block, silu, transformer

DECADES = 5.0


def encode_text(p: Params, ids: ndarray) -> ndarray:
    """The mean over the words, without BOS, EOS and PAD."""
    h = p("token").weight[ids] + p.position
    h = transformer(p("transformer"), h, hidden=(ids == tokenizer.PAD)[:, None, None])
    word = (ids > tokenizer.EOS).astype(h.dtype)
    return normalized(linear(p("project"), np.einsum("blc,bl->bc", h, word / word.sum(1, keepdims=True))))


def trunk(p: Params, x: ndarray) -> ndarray:
    """Features (n, 128) of pictures (n, 3, 32, 32)."""
    h = res_block(p(1), conv(p(0), x, stride=2))
    h = res_block(p(3), res_block(p(2), h, stride=2), stride=2)
    h = conv(p(6), silu(group_norm(p(4), h)))
    return linear(p(8), h.reshape(len(h), -1))


def encode_image(p: Params, x: ndarray) -> ndarray:
    return normalized(linear(p("project")(1), silu(trunk(p("trunk"), x))))


def encode_audio(p: Params, wave: ndarray) -> ndarray:
    """A picture of the sound, 1 at its peak and 0 from 50 dB below; mean and maximum of its features over time."""
    level = np.log10(np.maximum(spectrogram.mel(wave, "htk", 2), 1e-10))
    picture = np.maximum((level - level.max(axis=(1, 2), keepdims=True)) / DECADES + 1, 0)
    t = p("trunk")
    h = res_block(t(2), res_block(t(1), conv(t(0), picture[:, None], stride=2), stride=2), stride=2)
    h = silu(group_norm(t(4), res_block(t(3), h, stride=(2, 1))))
    h = h.reshape(len(h), -1, h.shape[-1])  # b (c m) f
    return normalized(linear(p("project")(1), np.concatenate([h.mean(-1), h.max(-1)], axis=-1)))


def encode_video(p: Params, x: ndarray) -> ndarray:
    b, f = x.shape[:2]
    h = trunk(p("trunk"), x.reshape(b * f, *x.shape[2:])).reshape(b, f, -1) + p.position
    return normalized(linear(p("project"), transformer(p("transformer"), h).mean(1)))


def mix(prompts: list[ndarray], weights: list[float] | None = None) -> ndarray:
    """C = Σ_i w_i C_i, Σ_i w_i = 1, then scaled to norm 1."""
    w = np.ones(len(prompts)) if weights is None else np.array(weights)
    return normalized(sum(x * share for x, share in zip(prompts, (w / w.sum()).astype(prompts[0].dtype), strict=True)))
