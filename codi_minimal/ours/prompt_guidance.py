"""Ours: guidance amplifies the prompt alone for some outputs, and not their environment.

Source: our own. Captions start first, beside streams that are half noise; amplified, these mislead them.
Buys: `python -m codi_minimal experiment additions` (docs/experiments.md): captions stay varied and follow prompts.
Without it: remove this file and its line in `recipes.py`; guidance amplifies the environment of every stream.
"""

from codi_minimal.config import checked
from codi_minimal.recipe import Addition


@checked
class PromptGuidance(Addition):
    """The unguided branch of these outputs sees the environment, too, so that the difference is the prompt's alone."""

    names: tuple[str, ...] = ("text",)

    def keeps_environment(self, name: str) -> bool:
        return name in self.names
