"""Ours: guidance amplifies the prompt alone for some outputs, and not their environment.

Source: our own. Captions start first, beside streams that are half noise; amplified, these mislead them.
Buys: digit of captions beside an image .955 → .989 (n = 300, docs/experiments.md); see `experiment additions`.
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
