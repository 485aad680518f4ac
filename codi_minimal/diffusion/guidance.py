"""Classifier-free guidance."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from codi_minimal.diffusion.process import check_same_shape

if TYPE_CHECKING:
    from codi_minimal.alignment.environment import Environment


def classifier_free_guidance(uncond: Tensor, cond: Tensor, g: float) -> Tensor:
    """uncond + g (cond - uncond) (Ho & Salimans 2022, eq. 6, with g = 1 + w).

    It is linear, hence the same whether the outputs are eps, v or z0.

    Args:
        uncond, cond: the network's outputs, "b ...".
        g: 0 is unconditional, 1 conditional, more is guided.

    Raises:
        ValueError: on shapes that differ.

    >>> classifier_free_guidance(torch.zeros(1, 2), torch.ones(1, 2), 3.0)
    tensor([[3., 3.]])
    """
    check_same_shape(uncond=uncond, cond=cond)
    return uncond + g * (cond - uncond)


def guided(net: Callable[..., Tensor], g: float | Callable[[Tensor], float]) -> Callable[..., Tensor]:
    """The network with guidance inside: the same signature, one forward of twice the batch.

    A zero row of cond is "no prompt", and zeros for both tensors of env are "no environment", because then no token is
    present; denoisers are trained on both. The unguided branch sees neither. Where one branch is enough, because g = 1
    or because there is no condition, the network is called on the batch as it is.

    Args:
        net: callable net(z_t, t, cond, env), with cond "b d" and env an `alignment.Environment`, or None.
        g: guidance scale, a number, or a callable t "b" -> number, where all samples are at the same t.
    """

    def guided_net(z_t: Tensor, t: Tensor, cond: Tensor | None = None, env: Environment | None = None) -> Tensor:
        scale = g(t) if callable(g) else g
        if scale == 1 or (cond is None and env is None):
            return net(z_t, t, cond, env)
        conds = None if cond is None else torch.cat([torch.zeros_like(cond), cond])
        envs = None if env is None else tree_map(lambda x: torch.cat([torch.zeros_like(x), x]), env)
        output = net(torch.cat([z_t, z_t]), torch.cat([t, t]), conds, envs)
        return classifier_free_guidance(*output.chunk(2), scale)

    return guided_net
