"""Noise schedules: how much of the data is left after t steps of noising."""

from __future__ import annotations

import math

import torch
from einops import repeat
from torch import Tensor, nn

BETA_MAX = 0.999  # Nichol & Dhariwal's cap keeps alpha_bar[T-1] above zero, so that every quotient is finite


def linear(T: int) -> Tensor:
    """Betas linear in t: 1e-4 … 0.02 at T = 1000, times 1000 / T elsewhere (DDPM, sect. 4).

    As of every schedule, "T", float64, in (0, 0.999]. Elsewhere: diffusers `beta_schedule="linear"`.
    """
    return _betas(T, 1e-4, 0.02, power=1)


def scaled_linear(T: int) -> Tensor:
    """Betas whose square root is linear in t: 0.00085 … 0.012 at T = 1000 (Stable Diffusion's).

    Elsewhere: diffusers `beta_schedule="scaled_linear"`; the public CoDi code names it "linear".
    """
    return _betas(T, 0.00085, 0.012, power=2)


def _betas(T: int, first: float, last: float, power: int) -> Tensor:
    roots = torch.linspace(first ** (1 / power), last ** (1 / power), T, dtype=torch.float64, device="cpu")
    return (roots**power * (1000 / T)).clamp(max=BETA_MAX)  # the same total noise whatever T


def cosine(T: int) -> Tensor:
    """alpha_bar[t] = f(u) / f(0), f(u) = cos²(((u + s) / (1 + s)) π / 2), u = (t + 1) / T.

    Nichol & Dhariwal 2021, eq. 17, whose t counts from one; before the last beta is capped.
    Elsewhere: diffusers `beta_schedule="squaredcos_cap_v2"`.
    """
    s = 0.008  # keeps the first betas above zero
    u = torch.arange(T + 1, dtype=torch.float64, device="cpu") / T
    alpha_bar = torch.cos((u + s) / (1 + s) * math.pi / 2).square()
    return (1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(max=BETA_MAX)


SCHEDULES = {"linear": linear, "scaled_linear": scaled_linear, "cosine": cosine}


def posterior_coefficients(alpha_bar_t, alpha_bar_s):
    """Coefficients of q(z_s | z_t, z0), s < t (DDPM, eq. 6–7, for any gap between s and t).

    mean = c_z0 z0 + c_zt z_t.  s = t - 1 gives DDPM's own; a larger gap gives the respaced chain's.

    Args:
        alpha_bar_t, alpha_bar_s: numbers or tensors of one shape, alpha_bar_t < alpha_bar_s <= 1.

    Returns:
        c_z0, c_zt, variance.
    """
    alpha_ts = alpha_bar_t / alpha_bar_s
    c_z0 = alpha_bar_s**0.5 * (1 - alpha_ts) / (1 - alpha_bar_t)
    c_zt = alpha_ts**0.5 * (1 - alpha_bar_s) / (1 - alpha_bar_t)
    variance = (1 - alpha_bar_s) / (1 - alpha_bar_t) * (1 - alpha_ts)
    return c_z0, c_zt, variance


class Schedule(nn.Module):
    """A noise schedule's tables, indexed by a zero-based t.

    z_t = sqrt(alpha_bar[t]) z0 + sqrt(1 - alpha_bar[t]) eps  (DDPM, eq. 4).  t = 0 is one step of noise.
    Each table is computed in float64, then stored as a non-persistent buffer of `dtype`.
    Elsewhere: diffusers `scheduler.betas`, `scheduler.alphas_cumprod`.

    Args:
        name: "linear", "scaled_linear" or "cosine".
        T: number of noising steps.
        dtype: of the buffers; float64 is for tests.

    Raises:
        ValueError: on an unknown name, T < 2, or a dtype that is not floating point.

    >>> schedule = Schedule("cosine", 1000)
    >>> alpha, sigma = schedule.alpha_sigma(torch.tensor([0, 999]), torch.zeros(2, 4, 8, 8))
    >>> alpha.shape, bool(alpha[0] > 0.99), bool(sigma[1] > 0.99)
    (torch.Size([2, 1, 1, 1]), True, True)
    """

    def __init__(self, name: str = "cosine", T: int = 1000, dtype: torch.dtype = torch.float32):
        super().__init__()
        if name not in SCHEDULES:
            raise ValueError(f"schedule: expected one of {sorted(SCHEDULES)}, got {name!r}")
        if not isinstance(T, int) or isinstance(T, bool) or T < 2:
            raise ValueError(f"T: expected an integer of at least 2, got {T!r}")
        if not dtype.is_floating_point:
            raise ValueError(f"dtype: expected a floating point type, got {dtype}")
        self.name, self.T = name, T
        alpha_bar = self.exact_alpha_bar()
        tables = {"beta": SCHEDULES[name](T), "alpha_bar": alpha_bar}
        tables |= {"sqrt_alpha_bar": alpha_bar.sqrt(), "sqrt_one_minus_alpha_bar": (1 - alpha_bar).sqrt()}
        for key, table in tables.items():
            self.register_buffer(key, table.to(dtype), persistent=False)

    def exact_alpha_bar(self) -> Tensor:
        """alpha_bar[t] = Π_{s <= t} (1 - beta[s]): "T", float64, on the CPU, wherever the buffers are."""
        return torch.cumprod(1 - SCHEDULES[self.name](self.T), dim=0)

    def alpha_sigma(self, t: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """sqrt(alpha_bar[t]) and sqrt(1 - alpha_bar[t]), shaped "b 1 1 …" to broadcast over `like`, in its dtype.

        Raises:
            ValueError: if t is not an integer tensor "b" of like's batch, within 0 … T-1, or if `like` is not of
                floating point: an integer type would turn every coefficient into 0. On a GPU the range of t is not
                checked, because a look at its values would wait for the device.
        """
        if not like.is_floating_point():
            raise ValueError(f"expected a tensor of floating point, got {like.dtype}")
        whole = isinstance(t, Tensor) and t.dtype in (torch.int64, torch.int32)
        if not whole or t.shape != like.shape[:1]:
            got = f"{t.dtype} {tuple(t.shape)}" if isinstance(t, Tensor) else repr(t)
            raise ValueError(f"t: expected integers of shape ({len(like)},), got {got}")
        # a negative index would silently give the noise level of another t
        if t.device.type == "cpu" and t.numel() and (int(t.min()) < 0 or int(t.max()) >= self.T):
            raise ValueError(f"t: expected values in 0 … {self.T - 1}, got {int(t.min())} … {int(t.max())}")
        ones = " ".join(["1"] * (like.ndim - 1))
        alpha, sigma = self.sqrt_alpha_bar[t], self.sqrt_one_minus_alpha_bar[t]
        return repeat(alpha.to(like.dtype), f"b -> b {ones}"), repeat(sigma.to(like.dtype), f"b -> b {ones}")
