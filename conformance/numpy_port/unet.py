"""The denoisers ε_m, which predict v."""

from dataclasses import dataclass

import numpy as np
from numpy import ndarray

from .checkpoint import Params
from .environment import attention_to_others
from .layers import (
    attention,
    conv,
    gelu,
    group_norm,
    layer_norm,
    linear,
    res_block,
    silu,
    time_embedding,
    two_layers,
)  # fmt: skip

CHUNKS = 8


@dataclass
class Seen:
    """What a block sees beside its map: the embedding (b, e), condition tokens (b, 4, e), tokens of other streams."""

    emb: ndarray
    context: ndarray
    env: ndarray | None
    present: ndarray | None
    timed: bool  # whether the last axis of the map is time
    frames: int = 1


def latent_shift(x: ndarray) -> ndarray:
    """Channel chunk i of "b f c h w" is i frames late; zeros come in."""
    parts = np.split(x, CHUNKS, axis=2)
    late = [np.pad(part, ((0, 0), (i, 0), *[(0, 0)] * 3))[:, : x.shape[1]] for i, part in enumerate(parts)]
    return np.concatenate(late, axis=2)


def temporal(p: Params, h: ndarray, f: int) -> ndarray:
    """The latent shift, then attention over the frames at each place."""
    bf, c, y, x = h.shape
    late = latent_shift(group_norm(p("norm1"), h).reshape(-1, f, c, y, x)).reshape(h.shape)
    h = h + conv(p("shifted"), late)
    rows = h.reshape(-1, f, c, y, x).transpose(0, 3, 4, 1, 2).reshape(-1, f, c)  # (b h w) f c
    rows = attention(p("attention"), layer_norm(p("norm2"), rows) + p.frame)
    return h + rows.reshape(bf // f, y, x, f, c).transpose(0, 3, 4, 1, 2).reshape(h.shape)


def block(p: Params, x: ndarray, seen: Seen) -> ndarray:
    """A residual block, what video adds, and attention: to itself, to the condition, and to the other streams."""
    x, f = res_block(p("res"), x, seen.emb), seen.frames
    x = temporal(p("temporal"), x, f) if p.has("temporal") else x
    t, h = p("transformer"), x.reshape(*x.shape[:2], -1).swapaxes(1, 2)  # (b f) n c
    places = layer_norm(t("norm1"), h).reshape(len(h) // f, -1, h.shape[-1])  # b (f n) c
    h = h + attention(t("self_attention"), places).reshape(h.shape)
    h = h + attention(t("cross_attention"), layer_norm(t("norm2"), h), seen.context)
    if seen.env is not None and t.has("environment_attention"):
        times = f if f > 1 else x.shape[-1] if seen.timed else 0
        h = h + attention_to_others(t("environment_attention"), h, seen.env, seen.present, times, f)
    h = h + linear(t("mlp")(2), gelu(linear(t("mlp")(0), layer_norm(t("norm3"), h))))
    return h.swapaxes(1, 2).reshape(x.shape)


def denoise(
    p: Params, name: str, z: ndarray, t: ndarray, cond: ndarray, env: ndarray | None, present: ndarray | None
) -> ndarray:
    """ε_m(z_t, t, C, V); C (b, d) is zero for no prompt, and env None for no other stream."""
    b, f = len(z), z.shape[1] if z.ndim == 5 else 1
    if env is not None:
        cond = cond + attention_to_others(p("environment_attention"), cond[:, None], env, present, 0)[:, 0]
    c = cond * cond.shape[-1] ** 0.5
    emb = two_layers(p("time_mlp"), time_embedding(t, p("time_mlp")(0).weight.shape[1], z.dtype))
    emb = emb + two_layers(p("cond_mlp"), c)
    context = linear(p("cond_tokens"), c).reshape(b, -1, emb.shape[-1])
    if f > 1:
        e = p("frame_embedding")
        x = linear(e("project"), emb)[:, None] + e.frame
        emb = (emb[:, None] + linear(e("out"), silu(x))).reshape(b * f, -1)
        context = np.repeat(context, f, axis=0)
    h = trunk(p, z.reshape(b * f, *z.shape[-3:]) if f > 1 else z, Seen(emb, context, env, present, name == "audio", f))
    return h.reshape(z.shape)


def trunk(p: Params, x: ndarray, seen: Seen) -> ndarray:
    """Down, middle and up. A part with the tensor `weight` is a convolution that halves or follows a doubling."""
    h = conv(p("conv_in"), x) + p.position
    skips = [h]
    for i in range(p.count("down")):
        part = p("down")(i)
        h = conv(part, h, stride=2) if part.has("weight") else block(part, h, seen)
        skips.append(h)
    h = block(p("middle"), h, seen)
    for i in range(p.count("up")):
        part = p("up")(i)
        if part.has("weight"):
            for axis in range(2, h.ndim):
                h = np.repeat(h, 2, axis=axis)
            h = conv(part, h)
        else:
            h = block(part, np.concatenate([h, skips.pop()], axis=1), seen)
    return conv(p("out")(2), silu(group_norm(p("out")(0), h)))
