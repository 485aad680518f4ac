"""Conditional coherence: the share of outputs whose attributes match what the prompts say."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import torch

from codi_minimal.data import ATTRIBUTES_OF
from codi_minimal.evaluation.classifiers import Judges
from codi_minimal.evaluation.readers import CHANCE, READERS, Reading, read
from codi_minimal.evaluation.statistics import Share, share

MODALITIES = tuple(ATTRIBUTES_OF)
SUBSETS = tuple(
    names for size in range(1, 5) for names in combinations(MODALITIES, size)
)  # 15, small ones first
ATTRIBUTES = ATTRIBUTES_OF["video"]  # it carries all of them

# What else is counted beside the attributes; the mean leaves these out.
NEAR_ONSET = "onset ±1"
WELL_FORMED = "well-formed"
CHANCES = CHANCE | {NEAR_ONSET: 0.625}

Scores = dict[str, dict[str, Share]]  # output → attribute → share


def letters(names: Sequence[str]) -> str:
    """A set of modalities as one word: ("text", "audio") → "TA"."""
    return "".join(name[0].upper() for name in names)


def cell_name(prompts: Sequence[str], outputs: Sequence[str]) -> str:
    """A cell of the table: (("text",), ("image", "audio")) → "T → IA"."""
    return f"{letters(prompts)} → {letters(outputs)}"


def said_by(prompts: Mapping[str, Any], scene: Any) -> Reading:
    """What a set of prompts, all of one scene, says: attribute → (n,) values, -1 where none of them says it.

    A text says what its caption says (its words are read, not the scene); the others all that they carry.
    """
    said = {name: torch.full_like(scene.digit, -1) for name in ATTRIBUTES}
    for prompt, data in prompts.items():
        shown = read(prompt, data) if READERS[prompt].formed else vars(scene)
        for name in ATTRIBUTES_OF[prompt]:
            said[name] = torch.where(shown[name] >= 0, shown[name], said[name])
    return said


def coherence(said: Reading, outputs: Mapping[str, Any], judges: Judges | None = None) -> Scores:
    """Compare what outputs show with what the prompts said, for each attribute that both carry.

    A caption need not say everything: counted is what it says and the prompts determine. A caption that the
    grammar cannot produce is wrong in all that was said; so is a picture or a sound that cannot be read.

    Args:
        said: attribute → (n,), of `said_by`.
        outputs: modality → n samples.

    Returns:
        Shares for each output and attribute, with "onset ±1" and "well-formed" apart. n may be 0.
    """
    scores: Scores = {}
    for output, data in outputs.items():
        shown, reader = read(output, data, judges), READERS[output]
        formed = reader.formed(data) if reader.formed else None
        scores[output] = {}
        for name in ATTRIBUTES_OF[output]:
            counted = said[name] >= 0
            if formed is not None:
                counted = counted & ((shown[name] >= 0) | ~formed)
            scores[output][name] = share(shown[name] == said[name], counted)
            if name == "onset":
                near = ((shown[name] - said[name]).abs() <= 1) & (shown[name] >= 0)
                scores[output][NEAR_ONSET] = share(near, counted)
        if formed is not None:
            scores[output][WELL_FORMED] = share(formed)
    return scores


def mean_coherence(scores: Scores) -> float | None:
    """Mean over outputs and attributes of a cell's shares; None where the prompts determine nothing."""
    values = [
        share.value
        for shares in scores.values()
        for name, share in shares.items()
        if name in ATTRIBUTES and share.n
    ]
    return sum(values) / len(values) if values else None
