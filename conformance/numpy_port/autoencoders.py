"""E_m and D_m: data ↔ latents of unit scale."""

import numpy as np
from numpy import ndarray

from . import spectrogram, tokenizer
from .checkpoint import Params
from .layers import conv, group_norm, linear, pixel_shuffle, res_block, silu, transformer


def encoder(p: Params, x: ndarray) -> ndarray:
    """Halvings by a 4 × 4 convolution, each with a residual block: means and log-variances, on the channel axis."""
    n = 0
    while p.has(f"{n}.weight") and p(n).weight.ndim == 4 and p(n).weight.shape[2] == 4:
        x = res_block(p(n + 1), conv(p(n), x, stride=2, padding=1))
        n += 2
    return conv(p(n + 2), silu(group_norm(p(n), x)))


def decoder(p: Params, z: ndarray) -> ndarray:
    """The mirror of the encoder: channels of a 3 × 3 convolution become places."""
    x = res_block(p(2), res_block(p(1), conv(p(0), z)))
    n = 3
    while p(n).weight.ndim == 4:
        x = res_block(p(n + 2), pixel_shuffle(conv(p(n), x)))
        n += 3
    return pixel_shuffle(conv(p(n + 2), silu(group_norm(p(n), x))))


def moments_image(p: Params, x: ndarray) -> ndarray:
    return encoder(p("encoder"), 2 * x - 1)


def moments_audio(p: Params, wave: ndarray) -> ndarray:
    return encoder(p("encoder"), spectrogram.log_mel(wave))


def mean(moments: ndarray) -> ndarray:
    """The first half of the channels."""
    return np.split(moments, 2, axis=1)[0]


def encode_image(p: Params, x: ndarray) -> ndarray:
    return mean(moments_image(p, x)) * p.scale_factor


def decode_image(p: Params, z: ndarray) -> ndarray:
    return np.clip(0.5 * decoder(p("decoder"), z / p.scale_factor) + 0.5, 0, 1)


def encode_video(p: Params, x: ndarray) -> ndarray:
    """Frame by frame."""
    return np.stack([encode_image(p, clip) for clip in x])


def decode_video(p: Params, z: ndarray) -> ndarray:
    return np.stack([decode_image(p, clip) for clip in z])


def encode_audio(p: Params, wave: ndarray) -> ndarray:
    return mean(moments_audio(p, wave)) * p.scale_factor


def decode_audio(p: Params, z: ndarray) -> ndarray:
    """Log-mels, of which `spectrogram.griffin_lim` makes waves."""
    return decoder(p("decoder"), z / p.scale_factor)


def moments_text(p: Params, ids: ndarray) -> ndarray:
    """Moments "b 2c l": learned queries before the words, of which padding is hidden."""
    words = p("embedding").weight[ids] + p("encoder_positions").weight
    queries = np.broadcast_to(p("queries").weight, (len(ids), *p("queries").weight.shape))
    hidden = np.pad(ids == tokenizer.PAD, ((0, 0), (queries.shape[1], 0)))[:, None, None]
    h = transformer(p("encoder"), np.concatenate([queries, words], 1), hidden)[:, : queries.shape[1]]
    return linear(p("to_moments"), h).swapaxes(1, 2)


def encode_text(p: Params, ids: ndarray) -> ndarray:
    return mean(moments_text(p, ids)) * p.scale_factor


def next_words(p: Params, z: ndarray, ids: ndarray) -> ndarray:
    """Scores (b, n, v) of the word after each of ids (b, n), from unscaled latents "b c l"."""
    memory = linear(p("from_latent"), z.swapaxes(1, 2)) + p("latent_positions").weight
    table, future = p("embedding").weight, np.triu(np.ones((ids.shape[1],) * 2, bool), 1)
    words = table[ids] + p("decoder_positions").weight[: ids.shape[1]]
    return transformer(p("decoder"), words, future, memory) @ table.T


def decode_text(p: Params, z: ndarray) -> list[list[int]]:
    """Ids of captions: the likeliest word at every step, never PAD, BOS or UNK, until EOS or the last position."""
    captions, most = [], len(p("decoder_positions").weight) - 1
    for latent in z / p.scale_factor:
        ids = [tokenizer.BOS]
        while len(ids) < most and ids[-1] != tokenizer.EOS:
            scores = next_words(p, latent[None], np.array([ids]))[0, -1]
            scores[[tokenizer.PAD, tokenizer.BOS, tokenizer.UNK]] = -np.inf
            ids.append(int(scores.argmax()))
        captions.append(ids[1:])
    return captions
