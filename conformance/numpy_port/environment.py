"""V_m, and the attention of a denoiser to the tokens of other streams."""

import numpy as np
from numpy import ndarray

from .checkpoint import Params
from .layers import (
    attend,
    conv,
    heads_of,
    layer_norm,
    linear,
    normalized,
    res_block,
    split_heads,
    time_embedding,
    transformer,
    two_layers,
)  # fmt: skip

CLOCK, TIMES = 16, 8  # components of a code, and clock tokens of audio and video


def clock_code(n: int, dtype: type) -> ndarray:
    """[cos kπu, sin kπu] / √8, k = 1 … 8, for the middles u of n slots of [0, 1]: (n, 16)."""
    u = (np.arange(n) + 0.5) / n
    angle = np.pi * np.arange(1, CLOCK // 2 + 1) * u[:, None]
    return (np.concatenate([np.cos(angle), np.sin(angle)], axis=-1) / (CLOCK // 2) ** 0.5).astype(dtype)


def patches(name: str, h: ndarray) -> ndarray:
    """Maps as "b times places features": text 1, image 2 × 2, audio 4 × 1 with time first, video 4 × 4 a frame."""
    if name == "text":
        return h.swapaxes(1, 2)[:, None]
    py, px = {"image": (2, 2), "audio": (4, 1), "video": (4, 4)}[name]
    n, e, y, x = h.shape
    h = h.reshape(n, e, y // py, py, x // px, px).transpose(0, 2, 4, 1, 3, 5)  # n rows columns e p q
    h = h.reshape(n, y // py, x // px, -1)
    if name == "audio":  # columns are times
        return h.swapaxes(1, 2)
    frames = 8 if name == "video" else 1
    return h.reshape(n // frames, frames, -1, h.shape[-1])


def with_motion(z: ndarray) -> ndarray:
    """Each frame between its changes since the last and to the next, with zeros at the ends: "b f 3c h w"."""
    change = np.pad(z[:, 1:] - z[:, :-1], ((0, 0), (1, 1), (0, 0), (0, 0), (0, 0)))
    return np.concatenate([change[:, :-1], z, change[:, 1:]], axis=2)


def tokens(p: Params, name: str, z: ndarray, t: ndarray) -> ndarray:
    """V_m(z_t, t): (b, 4, 128), or (b, 4 + 8, 128) of a modality with time, whose last eight have a clock."""
    b, width = len(z), p.queries.shape[1]
    emb = two_layers(p("time_mlp"), time_embedding(t, width, z.dtype))
    frames = z.shape[1] if z.ndim == 5 else 1
    x = with_motion(z).reshape(b * frames, -1, *z.shape[3:]) if z.ndim == 5 else z
    h = res_block(p("res"), conv(p("conv_in"), x), np.repeat(emb, frames, axis=0))
    h = linear(p("to_token"), patches(name, h)) + p.position  # b k n w
    k, summary = h.shape[1], len(p.queries)
    queries = np.broadcast_to(p.queries, (b, *p.queries.shape))
    h = np.concatenate([queries, h.reshape(b, -1, width)], axis=1) + emb[:, None]
    h = transformer(p("transformer"), h, final=False)
    found, codes = h[:, :summary], np.zeros((summary, CLOCK), z.dtype)
    if k > 1:
        found = np.concatenate([found, h[:, summary:].reshape(b, k, -1, width).mean(2)], axis=1)
        codes = np.concatenate([codes, CLOCK**0.5 * clock_code(k, z.dtype)])
    found = linear(p("out")(1), layer_norm(p("out")(0), found))
    found = normalized(found) * (found.shape[-1] + CLOCK) ** 0.5
    return np.concatenate([found, np.broadcast_to(codes, (b, *codes.shape))], axis=-1)


def attention_to_others(p: Params, h: ndarray, env: ndarray, present: ndarray, times: int, frames: int = 1) -> ndarray:
    """The residual of maps "(b f) n c" that attend to tokens "b m e", of which those `present` (b, m) are there.

    `times`: how many times the last axis of n places has, or f frames; 0 for a stream without time.
    """
    (bf, n, c), heads = h.shape, heads_of(h.shape[-1])
    x = layer_norm(p("norm"), h).reshape(bf // frames, frames * n, c) + p.position
    q = split_heads(linear(p("q"), x), heads)
    k, v = (split_heads(part, heads) for part in np.split(linear(p("kv"), env), 2, axis=-1))
    codes = clock_code(times, h.dtype) if times else np.zeros((1, CLOCK), h.dtype)
    codes = np.repeat(codes, n, axis=0) if frames > 1 else np.tile(codes, (n // len(codes), 1))  # (f n) or (n w)
    other = env[..., -CLOCK:] * CLOCK**-0.5
    visible = present if times else present & ~(other != 0).any(-1)  # what has no time hears no clock
    c_q = np.broadcast_to(p.sharpness * codes, (*q.shape[:-1], CLOCK))
    c_k = np.broadcast_to(other[:, None], (*k.shape[:-1], CLOCK))
    q, k = np.concatenate([q * q.shape[-1] ** -0.5, c_q], -1), np.concatenate([k, c_k], -1)
    silent = np.broadcast_to(np.pad(p.nothing, ((0, 0), (0, 0), (0, CLOCK))), (len(k), heads, 1, k.shape[-1]))
    k, v = np.concatenate([silent, k], 2), np.pad(v, ((0, 0), (0, 0), (1, 0), (0, 0)))
    hidden = ~np.pad(visible, ((0, 0), (1, 0)), constant_values=True)[:, None, None]
    return linear(p("out"), attend(q, k, v, hidden, scale=1.0)).reshape(h.shape)
