"""What all samplers share: the t they visit, and one pure step, so that streams can go side by side."""

from __future__ import annotations

from abc import ABC, abstractmethod
from numbers import Integral

from torch import Tensor

from codi_minimal.diffusion.process import check_prediction, check_same_shape, to_z0
from codi_minimal.diffusion.schedule import Schedule


def trailing_timesteps(T: int, steps: int) -> list[int]:
    """t_i = ⌊T - i T / steps + 1/2⌋ - 1: descending, zero-based (Lin et al. 2023, table 2, "trailing").

    The first is T-1, where z_t is (almost) pure noise, as z_T is; other spacings start below it, where the
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


class Sampler(ABC):
    """One way from z_T to z0. It holds only constants; what changes goes in and out of `step`.

    Attributes:
        timesteps: descending, zero-based; the first is T-1.
        alpha_bars: alpha_bar at each of them, then 1.0: the last step lands on z0. Python floats, hence
            float64 and at home on every device.
        stochastic: whether `step` needs noise (on all but the last step).

    Args:
        schedule: the one the network was trained with.
        steps: how many times the network is called, 1 … T.
        prediction: what the network outputs, "v" or "epsilon".
        clip: the predicted z0 is clamped to [-clip, clip]; None for not at all. Give one with "epsilon" and a schedule
            that ends in almost pure noise, such as "cosine": there z0 = (z - sigma eps) / alpha divides every error of
            the network by alpha, 5e-5, and the sample explodes.
    """

    stochastic = False

    def __init__(self, schedule: Schedule, steps: int, prediction: str = "v", clip: float | None = None):
        check_prediction(prediction)
        if clip is not None and not clip > 0:
            raise ValueError(f"clip: expected a positive number or None, got {clip!r}")
        self.prediction, self.clip = prediction, clip
        self.timesteps = trailing_timesteps(schedule.T, steps)
        table = schedule.exact_alpha_bar()
        self.alpha_bars = [table[t].item() for t in self.timesteps] + [1.0]

    def step(
        self, i: int, z: Tensor, output: Tensor, noise: Tensor | None = None, state: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """From z at timesteps[i] to z at timesteps[i + 1] (after the last: z0).

        Args:
            i: which step, 0 … steps-1.
            z: "b ...".
            output: the network's, at (z, timesteps[i]), "b ...".
            noise: unit Gaussian "b ...", if the sampler is stochastic.
            state: what the step before returned; None at the start.

        Returns:
            z at the next timestep, and the state for the next step.

        Raises:
            ValueError: on i out of range, shapes that differ, or noise that is missing.
        """
        if not 0 <= i < len(self.timesteps):
            raise ValueError(f"i: expected a step in 0 … {len(self.timesteps) - 1}, got {i}")
        last = i == len(self.timesteps) - 1
        if self.stochastic and not last and noise is None:
            raise ValueError(f"noise: {type(self).__name__} expected shape {tuple(z.shape)}, got None")
        given = {"noise": noise, "state": state}
        check_same_shape(z=z, **{name: tensor for name, tensor in given.items() if tensor is not None})
        alpha, sigma = self.alpha_bars[i] ** 0.5, (1 - self.alpha_bars[i]) ** 0.5
        z0 = to_z0(self.prediction, output, z, alpha, sigma)
        if self.clip is not None:
            z0 = z0.clamp(-self.clip, self.clip)
        if last:  # alpha_bar = 1: every method's next z is z0 itself
            return z0, None
        return self.advance(i, z, z0, noise, state)

    @abstractmethod
    def advance(
        self, i: int, z: Tensor, z0: Tensor, noise: Tensor | None, state: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """The method itself, for every step but the last: next z and state, given the predicted z0."""
