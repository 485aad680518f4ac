"""Classifier-free guidance."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from einops import repeat
from torch import Tensor

from codi_minimal.diffusion.process import check_same_shape

ENV_GUIDANCE = ("with", "drop")


def classifier_free_guidance(uncond: Tensor, cond: Tensor, g: float | Tensor) -> Tensor:
    """uncond + g (cond - uncond) (Ho & Salimans 2022, eq. 6, with g = 1 + w).

    It is linear, hence the same whether the outputs are eps, v or z0.

    Args:
        uncond, cond: the network's outputs, "b ...".
        g: 0 is unconditional, 1 conditional, more is guided; a number, or "b", one a sample.

    Returns:
        "b ...".

    Raises:
        ValueError: on shapes that differ.

    >>> classifier_free_guidance(torch.zeros(1, 2), torch.ones(1, 2), 3.0)
    tensor([[3., 3.]])
    """
    check_same_shape(uncond=uncond, cond=cond)
    if isinstance(g, Tensor) and g.ndim:
        if g.shape != cond.shape[:1]:
            raise ValueError(f"g: expected a number or shape ({len(cond)},), got shape {tuple(g.shape)}")
        ones = " ".join(["1"] * (cond.ndim - 1))
        g = repeat(g.to(cond), f"b -> b {ones}")
    return uncond + g * (cond - uncond)


def guided(
    net: Callable[..., Tensor],
    g: float | Tensor,
    env_guidance: str = "with",
    until: float = 0,
    g_env: float | Tensor | None = None,
    start: float = math.inf,
) -> Callable[..., Tensor]:
    """The network with guidance inside: same signature, one forward of twice the batch.

    "No prompt" is a zero row of cond, "no environment" zero rows of env; denoisers take them so. Where one
    branch is enough (g = 1, or nothing to leave out) the network is called with the batch as it is.

    Args:
        net: callable net(z_t, t, cond, env).
        g: guidance scale, a number, or "b", one a sample.
        env_guidance: "with": both branches see the environment, so only the prompt is amplified (default).
            "drop": the unconditional branch sees neither, so the environment is amplified too.
        until: where all t of a batch are smaller there is no guidance any more, at half the cost (an interval of
            guidance, Kynkäänniemi et al. 2024).
        g_env: guidance scale where there is an environment, be it of zeros; None: g, as where there is none.
        start: where all t of a batch are as large there is no guidance yet: out of noise alone the two branches differ
            in little but what each takes for the mean of all samples, and guidance would move all of them alike.

    Returns:
        callable (z_t, t, cond, env) -> "b ...".

    Raises:
        ValueError: on an unknown env_guidance, or, when called, on g of another batch size.
    """
    if env_guidance not in ENV_GUIDANCE:
        raise ValueError(f"env_guidance: expected one of {ENV_GUIDANCE}, got {env_guidance!r}")

    def guided_net(z_t: Tensor, t: Tensor, cond: Tensor | None = None, env: Tensor | None = None) -> Tensor:
        drop_env = env is not None and env_guidance == "drop"
        scale = g if env is None or g_env is None else g_env
        one_branch = (not isinstance(scale, Tensor) and scale == 1) or (cond is None and not drop_env)
        if one_branch or bool(((t < until) | (t >= start)).all()):
            return net(z_t, t, cond, env)
        conds = None if cond is None else torch.cat([torch.zeros_like(cond), cond])
        envs = None if env is None else torch.cat([torch.zeros_like(env) if drop_env else env, env])
        output = net(torch.cat([z_t, z_t]), torch.cat([t, t]), conds, envs)
        return classifier_free_guidance(*output.chunk(2), scale)

    return guided_net
