"""The diffusion loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from torch import Tensor

from codi_minimal.diffusion.process import check_prediction, check_same_shape, q_sample, velocity
from codi_minimal.diffusion.schedule import Schedule

if TYPE_CHECKING:
    from codi_minimal.alignment.environment import Environment


def target(schedule: Schedule, z0: Tensor, t: Tensor, eps: Tensor, prediction: str = "v") -> Tensor:
    """The target of the network: eps, or v = sqrt(alpha_bar) eps - sqrt(1 - alpha_bar) z0.

    Arguments and errors as of `diffusion_loss`.
    """
    check_prediction(prediction)
    check_same_shape(z0=z0, eps=eps)
    alpha, sigma = schedule.alpha_sigma(t, z0)
    return velocity(z0, eps, alpha, sigma) if prediction == "v" else eps


def diffusion_loss(
    net: Callable[..., Tensor],
    z0: Tensor,
    t: Tensor,
    eps: Tensor,
    schedule: Schedule,
    cond: Tensor | None = None,
    env: Environment | None = None,
    prediction: str = "v",
) -> Tensor:
    """L_D = mean ‖target - net(z_t, t, cond, env)‖² (CoDi, sect. 3.1; DDPM, eq. 14).

    The default v is our choice. The paper's target is eps. The errors differ by a weight,
    ‖eps - ê‖² = alpha_bar ‖v - v̂‖². With `env` it is the first term of CoDi's L_Cross (sect. 3.4).

    Args:
        net: callable net(z_t, t, cond, env) -> "b ...".
        z0, eps: clean latents and unit Gaussian noise, "b ...".
        t: "b", zero-based, 0 … T-1.
        cond: C, prompt embeddings "b d", or None.
        env: the environment, tokens "b n d_env" and which of them are present "b n", or None.
        prediction: what the network outputs, "v" or "epsilon".

    Returns:
        A scalar, the mean over samples and components.

    Raises:
        ValueError: on unknown names, shapes that differ, t out of range, or a network that changes the shape.

    >>> import torch
    >>> z0, eps, t = torch.zeros(2, 3), torch.ones(2, 3), torch.tensor([0, 9])
    >>> net = lambda z_t, t, cond, env: 0 * z_t
    >>> diffusion_loss(net, z0, t, eps, Schedule("cosine", 10), prediction="epsilon")
    tensor(1.)
    """
    wanted = target(schedule, z0, t, eps, prediction)
    output = net(q_sample(schedule, z0, t, eps), t, cond, env)
    check_same_shape(output=output, target=wanted)
    return (output - wanted).square().mean()
