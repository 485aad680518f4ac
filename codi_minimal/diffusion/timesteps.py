"""The timesteps that a sampler visits."""

from collections.abc import Sequence
from numbers import Integral

from torch import Tensor


def trailing_timesteps(T: int, steps: int) -> list[int]:
    """t_i = ⌊T - i T / steps + 1/2⌋ - 1: descending, zero-based (Lin et al. 2023, table 2, "trailing").

    The first is T-1, where z_t is (almost) pure noise, as z_T is; the spacing "leading" starts below it, where the
    network never saw pure noise. Halves are rounded up, in whole numbers, which every language can repeat.
    Elsewhere: diffusers `timestep_spacing="trailing"`, which rounds halves to even, so that some t differ by 1.

    Raises:
        ValueError: unless 1 <= steps <= T.

    >>> trailing_timesteps(1000, 4)
    [999, 749, 499, 249]
    """
    if not isinstance(steps, Integral) or isinstance(steps, bool) or not 1 <= steps <= T:
        raise ValueError(f"steps: expected an integer in 1 … {T}, got {steps!r}")
    steps = int(steps)
    return [(2 * T * (steps - i) + steps) // (2 * steps) - 1 for i in range(steps)]


def shifted_timesteps(times: Sequence[int], alpha_bar: Tensor, shift: float) -> list[int]:
    """For each t the first t' whose signal-to-noise ratio is at most that of t over shift² (Hoogeboom et al. 2023).

    A sample of many redundant parts, as the frames of a clip, can be recognised through more noise than one of few
    parts. A shift above 1 gives it more noise at the same t. `alpha_bar` (T,) is the schedule's, SNR = ᾱ / (1 − ᾱ).
    Elsewhere: the shift of Stable Diffusion 3's timesteps (Esser et al. 2024, sect. 5.3.2) does the same.

    >>> from codi_minimal.diffusion import Schedule
    >>> shifted_timesteps([999, 499, 0], Schedule("cosine", 1000).exact_alpha_bar(), 2.0)
    [999, 705, 3]
    """
    if shift == 1:
        return list(times)
    wanted = [ab / (ab + shift**2 * (1 - ab)) for ab in alpha_bar[list(times)].tolist()]
    return [min(int((alpha_bar > ab).sum()), len(alpha_bar) - 1) for ab in wanted]
