"""Assignment 2, after notebook 02: one step of DDIM (Song et al. 2021, eq. 12, with η = 0)."""

from torch import Tensor


def ddim_step(z_t: Tensor, v: Tensor, alpha_bar_t: float, alpha_bar_s: float) -> Tensor:
    """z_s = √ᾱ_s ẑ_0 + √(1 − ᾱ_s) ε̂, where s < t.

    The network has output v = √ᾱ_t ε − √(1 − ᾱ_t) z_0. Together with z_t = √ᾱ_t z_0 + √(1 − ᾱ_t) ε these are two
    equations in z_0 and ε: solve them on paper first.

    Args:
        z_t, v: (b, ...).
        alpha_bar_t, alpha_bar_s: ᾱ now and after the step; 1 after the last.

    Returns:
        z_s, (b, ...).
    """
    raise NotImplementedError
