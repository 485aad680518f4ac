"""Unprompted agreement: do streams that are generated together agree on what no prompt gives?"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from codi_minimal.config import MODALITIES
from codi_minimal.data import DIGITS, caption
from codi_minimal.evaluation.generation import BatchedModel
from codi_minimal.evaluation.readers import READERS, VALUES, Shown, read
from codi_minimal.evaluation.statistics import Estimate, mean, share


@dataclass(frozen=True)
class Question:
    """One thing to agree on: which attribute, among which outputs, and whether a text gives the digit.

    `measure` is the figure of `agreement` that answers it, to be compared with chance.
    """

    attribute: str
    outputs: tuple[str, ...]
    digit_said: bool
    measure: str = "all"

    @property
    def title(self) -> str:
        prompt = "a digit-only text" if self.digit_said else "no prompt"
        return f"{self.attribute}, {'–'.join(self.outputs)}, under {prompt}"


PAIRS = tuple(Question("digit", pair, digit_said=False) for pair in combinations(MODALITIES, 2))
QUESTIONS = (
    Question("digit", MODALITIES, digit_said=False),
    Question("colour", ("image", "video"), digit_said=True),
    Question("onset", ("audio", "video"), digit_said=True),
    # not every caption mentions a motion
    Question("motion", ("text", "video"), digit_said=False, measure="among those that say it"),
    *PAIRS,
)


def agreement(attribute: str, readings: Mapping[str, Shown], items: Sequence[Tensor] = ()) -> dict[str, Estimate]:
    """How often all outputs show the same value.

    Args:
        attribute: the one compared.
        readings: output → what was read of its n samples; -1 (missing or unreadable) disagrees with all.
        items: the recordings and glyphs that the samples show, where they are real renders.

    Returns:
        "all". With captions, which may leave the attribute out, "say it": the share that mentions it, and "among those
        that say it". For a pair of onsets "within one frame", and "mean error", in frames, of pairs that can be read.
    """
    values = torch.stack([reading[attribute] for reading in readings.values()])
    same = (values == values[0]).all(0) & (values[0] >= 0)
    result = {"all": share(same, items=items)}
    for name in readings:
        if READERS[name].formed:
            says = readings[name][attribute] >= 0
            result |= {"say it": share(says, items=items), "among those that say it": share(same, says, items)}
    if attribute == "onset" and len(values) == 2:
        legible = (values >= 0).all(0)
        error = (values[0] - values[1]).abs()
        result["within one frame"] = share((error <= 1) & legible, items=items)
        result["mean error"] = mean(error[legible], [ids[legible] for ids in items])
    return result


def chance(question: Question) -> dict[str, float]:
    """What independent, uniform outputs would reach: K^(1 - outputs); two onsets: 10 of 16 within a frame."""
    k = len(VALUES[question.attribute])
    result = {question.measure: k ** (1 - len(question.outputs))}
    if question.attribute == "onset":
        result["within one frame"] = sum(abs(a - b) <= 1 for a in range(k) for b in range(k)) / k**2
    return result


def prompts_of(digit_said: bool, n: int, seed: int) -> dict[str, list[str]]:
    """n captions that mention a digit and nothing else, digits in turn; or no prompt at all."""
    rng = random.Random(seed)
    captions = [caption({"digit": DIGITS[i % len(DIGITS)]}, rng, voice=0.0) for i in range(n)]
    return {"text": captions} if digit_said else {}


def ask(question: Question, model: BatchedModel, n: int, **options: Any) -> dict[str, Any]:
    """n samples of the outputs that a question is about; `options` go to `generate`, for instance joint=False."""
    return model(prompts_of(question.digit_said, n, model.seed), question.outputs, n, **options)


def answer(question: Question, samples: Mapping[str, Any], items: Sequence[Tensor] = ()) -> dict[str, Estimate]:
    """`agreement` of a question's samples, output → n samples; further outputs may be there."""
    return agreement(question.attribute, {name: read(name, samples[name]) for name in question.outputs}, items)


def similarity(model: Any, samples: Mapping[str, Any], items: Sequence[Tensor] = ()) -> dict[str, Estimate]:
    """The paper's measure of joint generation: mean cos(C_a(x_a), C_b(x_b)) of each pair of outputs, as "cosine a–b".

    Args:
        model: has `encode_prompt` as CoDi does. A sample that it refuses, an empty caption or values that are not
            finite, has the cosine 0.
        samples: output → n samples; the i-th samples were generated together. items: as of `agreement`.
    """
    embeddings = {name: _embed(model, name, data) for name, data in samples.items()}
    cosines = {f"cosine {a}–{b}": embeddings[a] * embeddings[b] for a, b in combinations(embeddings, 2)}
    return {pair: mean(products.sum(1), items) for pair, products in cosines.items()}


def _embed(model: Any, name: str, data: Any) -> Tensor:
    good = [i for i, x in enumerate(data) if (x.isfinite().all() if isinstance(x, Tensor) else x.strip())]
    if not good:
        return torch.zeros(len(data), 1)
    rows = model.encode_prompt(name, data[good] if isinstance(data, Tensor) else [data[i] for i in good]).cpu()
    return torch.zeros(len(data), rows.shape[1]).index_copy(0, torch.tensor(good), rows)
