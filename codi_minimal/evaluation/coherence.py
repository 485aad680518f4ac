"""Conditional coherence: the share of outputs whose attributes match the prompts, and the recall of captions."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from codi_minimal.config import MODALITIES
from codi_minimal.data import ATTRIBUTES_OF, Scene
from codi_minimal.evaluation.readers import CHANCE, READERS, Shown, read
from codi_minimal.evaluation.statistics import Estimate, average, share

SUBSETS = tuple(names for size in range(1, 5) for names in combinations(MODALITIES, size))  # 15, small ones first
ATTRIBUTES = ATTRIBUTES_OF["video"]  # it carries all of them

# what is counted beside the attributes, and left out of the mean
NEAR_ONSET = "onset ±1"
WELL_FORMED = "well-formed"
RECALL = {name: f"{name} mentioned" for name in ATTRIBUTES_OF["text"]}
CHANCES = CHANCE | {NEAR_ONSET: 0.625}

Scores = dict[str, dict[str, Estimate]]  # output → attribute → share


def letters(names: Sequence[str]) -> str:
    """A set of modalities as one word: ("text", "audio") → "TA"."""
    return "".join(name[0].upper() for name in names)


def cell_name(prompts: Sequence[str], outputs: Sequence[str]) -> str:
    """A cell of the table: (("text",), ("image", "audio")) → "T → IA"."""
    return f"{letters(prompts)} → {letters(outputs)}"


def said_by(prompts: Mapping[str, Any], scene: Scene) -> Shown:
    """The attributes that a set of prompts of n scenes gives: attribute → (n,) values, -1 where no prompt gives it.

    A text gives what its caption mentions: its words are read, not the scene. The others give all that they carry.
    """
    said = {name: torch.full_like(scene.digit, -1) for name in ATTRIBUTES}
    for prompt, data in prompts.items():
        shown = read(prompt, data) if READERS[prompt].formed else vars(scene)
        for name in ATTRIBUTES_OF[prompt]:
            said[name] = torch.where(shown[name] >= 0, shown[name], said[name])
    return said


def coherence(said: Shown, outputs: Mapping[str, Any], items: Sequence[Tensor] = ()) -> Scores:
    """The share of outputs that show what the prompts give, for each attribute that both carry.

    An unreadable picture or sound is wrong. A caption may leave attributes out, so two figures describe it: of the
    captions that mention an attribute the share in which it is right, and the recall, the share that mentions it at
    all. A caption that the grammar cannot produce is wrong in every attribute, and mentions none.

    Args:
        said: attribute → (n,), of `said_by`. outputs: modality → n samples; n may be 0.
        items: the recordings and glyphs that the prompts show, of `readers.items_of`.

    Returns:
        For each output the shares of its attributes, and of `NEAR_ONSET`, `WELL_FORMED` and `RECALL` where they apply.
    """
    scores: Scores = {}
    for output, data in outputs.items():
        shown, formed = read(output, data), READERS[output].formed
        scores[output] = {}
        for name in ATTRIBUTES_OF[output]:
            given, mentioned = said[name] >= 0, shown[name] >= 0
            counted = given & (mentioned | ~formed(data)) if formed else given
            scores[output][name] = share(shown[name] == said[name], counted, items)
            if name == "onset":
                near = (shown[name] - said[name]).abs() <= 1  # onsets are 1 … 4, so -1 is not
                scores[output][NEAR_ONSET] = share(near, counted, items)
            if formed:
                scores[output][RECALL[name]] = share(mentioned, given, items)
        if formed:
            scores[output][WELL_FORMED] = share(formed(data), items=items)
    return scores


def mean_coherence(scores: Scores) -> Estimate:
    """The mean over outputs and attributes of a cell's shares; without a value where the prompts give nothing."""
    return average(share for shares in scores.values() for name, share in shares.items() if name in ATTRIBUTES)
