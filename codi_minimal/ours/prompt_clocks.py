"""Ours: the clock tokens of prompts are part of the environment.

Source: our own. The prompt space is aligned through text, so that it lacks what text never mentions (the onset).
Buys: onset of voices from clips .25 → 1.00 (n = 64, notebook 08, "A stream that is given").
Without it: remove this file and its lines in `recipes.py`; prompts then act through C alone.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from codi_minimal.config import checked
from codi_minimal.recipe import Addition


@checked
class PromptClocks(Addition):
    """Each prompt with a time axis adds the clock tokens of V_m(E_m(y), t = 0) to every stream's environment."""

    def tokens(self, model: Any, prompts: Mapping[str, list[Any]]) -> list[Tensor]:
        tokens = []
        for name in sorted(prompts):
            m = model.modalities[name]
            for batch in prompts[name] if m.environment.clock else []:
                tokens.append(model.in_batches(lambda x, m=m: m.environment.clock_tokens(m.encode(x)), batch))
        return tokens
