"""The forward process, and the three names for one prediction: z0, eps, v.

In conversions alpha = sqrt(alpha_bar) and sigma = sqrt(1 - alpha_bar): numbers, or tensors that broadcast
over z_t (`Schedule.alpha_sigma`).
"""

from __future__ import annotations

from torch import Tensor

from codi_minimal.diffusion.schedule import Schedule

PREDICTIONS = ("v", "epsilon")


def check_prediction(prediction: str) -> None:
    """Raises ValueError unless the name is "v" or "epsilon"."""
    if prediction not in PREDICTIONS:
        raise ValueError(f"prediction: expected one of {PREDICTIONS}, got {prediction!r}")


def check_same_shape(**tensors: Tensor) -> None:
    """Raises ValueError unless all shapes agree, because broadcasting would hide a mistake."""
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if len(set(shapes.values())) > 1:
        raise ValueError(f"expected tensors of one shape, got {shapes}")


def q_sample(schedule: Schedule, z0: Tensor, t: Tensor, eps: Tensor) -> Tensor:
    """z_t = sqrt(alpha_bar[t]) z0 + sqrt(1 - alpha_bar[t]) eps (DDPM, eq. 4; CoDi, sect. 3.1).

    Elsewhere: diffusers `scheduler.add_noise`.

    Args:
        z0, eps: clean latents and unit Gaussian noise, "b ...", as is the result.
        t: "b", zero-based, 0 … T-1.

    Raises:
        ValueError: on shapes that differ, integer latents, or t out of range.

    >>> import torch
    >>> z0, eps = torch.ones(2, 3), torch.zeros(2, 3)
    >>> q_sample(Schedule("linear", 1000), z0, torch.tensor([0, 999]), eps)[:, 0]
    tensor([0.9999, 0.0064])
    """
    check_same_shape(z0=z0, eps=eps)
    alpha, sigma = schedule.alpha_sigma(t, z0)
    return alpha * z0 + sigma * eps


def velocity(z0: Tensor, eps: Tensor, alpha, sigma) -> Tensor:
    """v = alpha eps - sigma z0 (Salimans & Ho 2022, sect. 4).  ValueError: on shapes that differ.

    Elsewhere: diffusers `scheduler.get_velocity`.
    """
    check_same_shape(z0=z0, eps=eps)
    return alpha * eps - sigma * z0


def to_z0(prediction: str, output: Tensor, z_t: Tensor, alpha, sigma) -> Tensor:
    """z0 = alpha z_t - sigma v, or (z_t - sigma eps) / alpha.

    From v it is well conditioned at any t; from eps it divides by alpha, 5e-5 at the end of "cosine".

    Args:
        prediction: what `output` is, "v" or "epsilon".
        output, z_t: of the network, and what it saw, "b ...".

    Raises:
        ValueError: on an unknown prediction or shapes that differ.
    """
    check_prediction(prediction)
    check_same_shape(output=output, z_t=z_t)
    return alpha * z_t - sigma * output if prediction == "v" else (z_t - sigma * output) / alpha
