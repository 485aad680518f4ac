"""Ours: guidance starts after the first steps.

Source: guidance in an interval of noise levels, Kynkäänniemi et al. 2024.
Buys: brightness of clips .081 → .061, of real ones .062 (n = 300, the log in docs/experiments.md). It costs digits:
.973 → .953 among all four in `SHIPPED` (n = 300, `python -m codi_minimal experiment additions`).
Without it: remove this file and its line in `recipes.py`; all steps are guided.
"""

from collections.abc import Mapping

from codi_minimal.alignment import Environment
from codi_minimal.config import Share, checked
from codi_minimal.recipe import Addition


@checked
class LateGuidance(Addition):
    """At times t < start · T, late in sampling, the scale is g. At noisier times there is no guidance (g = 1).

    At those the two branches hardly differ except in the mean of all samples, and guidance moves all samples alike.

    Args:
        start: modality -> share of T; where a modality is missing all steps are guided.
    """

    start: Mapping[str, Share]

    def scale(self, name: str, g: float, t: float, env: Environment | None) -> float:
        return g if t < self.start.get(name, 2.0) else 1.0
