"""The joint loop: at every step each stream sees the tokens of all others, at the same step of their samplers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy import ndarray

from .sampling import Sampler


@dataclass
class Joint:
    """What does not change from step to step.

    Args:
        cond: C (b, d) or None. heard: clock tokens of prompts. held: tokens of given streams. steps: or the recipe's.
    """

    model: Any
    outputs: Sequence[str]
    cond: ndarray | None
    heard: Sequence[ndarray]
    held: Mapping[str, ndarray]
    steps: int | None = None

    def __post_init__(self) -> None:
        shift = self.model.recipe["shift"]
        self.samplers = {
            name: Sampler(
                self.setting("sampler", name),
                self.model.T,
                self.steps or self.setting("steps", name),
                shift.get(name, 1.0),
            )
            for name in self.outputs
        }
        self.steps = len(self.samplers[self.outputs[0]].times)
        self.is_stochastic = self.setting("sampler", self.outputs[0]) == "restart"

    def setting(self, field: str, name: str) -> Any:
        """A field of the recipe; beside other streams, outputs have sampler, steps and guidance of their own."""
        beside = len(self.outputs) + len(self.held) > 1
        value = self.model.recipe[f"{field}_beside" if beside else field]
        return value[name] if isinstance(value, dict) else value

    def step(
        self, i: int, z: dict[str, ndarray], eps: Mapping[str, ndarray], before: Mapping[str, ndarray]
    ) -> tuple[dict[str, ndarray], dict[str, ndarray]]:
        """All z at the next time, and all ẑ_0; `before`: those of the step before."""
        at = {name: self.samplers[name].times[i] for name in self.outputs}
        alone = len(self.outputs) + len(self.held) == 1
        said = {} if alone else {name: self.model.tokens(name, z[name], at[name]) for name in self.outputs} | self.held
        made = {}
        for name in self.outputs:
            others = [said[other] for other in sorted(said) if other != name] + list(self.heard)
            env = np.concatenate(others, axis=1) if others else None
            low = at[name] < self.model.recipe["guidance_start"] * self.model.T
            v = self.model.predict(
                name, z[name], at[name], self.cond, env, self.setting("guidance", name) if low else 1.0
            )
            made[name] = self.samplers[name].step(i, z[name], v, eps.get(name), before.get(name))
        return {name: both[0] for name, both in made.items()}, {name: both[1] for name, both in made.items()}
