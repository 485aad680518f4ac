"""Unprompted agreement: what no prompt says, do streams that are generated together agree on it?"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from codi_minimal.data import ATTRIBUTES_OF, DIGITS, caption
from codi_minimal.evaluation.classifiers import Judges
from codi_minimal.evaluation.readers import READERS, VALUES, Reading, read
from codi_minimal.evaluation.sampling import Sampler
from codi_minimal.evaluation.statistics import Share, share

ALL = tuple(ATTRIBUTES_OF)


@dataclass(frozen=True)
class Question:
    """One thing to agree on: which attribute, among which outputs, and whether a text says the digit.

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


QUESTIONS = (
    Question("digit", ALL, digit_said=False),
    Question("colour", ("image", "video"), digit_said=True),
    Question("onset", ("audio", "video"), digit_said=True),
    # captions say the motion now and then only
    Question("motion", ("text", "video"), digit_said=False, measure="among those that say it"),
)


def agreement(
    attribute: str, readings: Mapping[str, Reading], selective: Mapping[str, bool]
) -> dict[str, Share | float | None]:
    """How often all outputs show the same value.

    Args:
        attribute: the one compared.
        readings: output → what was read of its n samples; -1 (not said, unreadable) disagrees with all.
        selective: which outputs need not say the attribute (captions): the share that does, and the agreement
            among those, are given as well.

    Returns:
        "all": Share; for selective outputs "say it" and "among those that say it"; for a pair of onsets
        "within one frame" and "mean error", in frames, over pairs that can be read.
    """
    values = torch.stack([reading[attribute] for reading in readings.values()])
    same = (values == values[0]).all(0) & (values[0] >= 0)
    result: dict[str, Share | float | None] = {"all": share(same)}
    may_be_silent = [readings[name][attribute] for name in readings if selective[name]]
    if may_be_silent:
        speak = (torch.stack(may_be_silent) >= 0).all(0)
        result |= {"say it": share(speak), "among those that say it": share(same, speak)}
    if attribute == "onset" and len(values) == 2:
        legible = (values >= 0).all(0)
        error = (values[0] - values[1]).abs()
        result["within one frame"] = share((error <= 1) & legible)
        result["mean error"] = error[legible].float().mean().item() if legible.any() else None
    return result


def chance(question: Question) -> dict[str, float]:
    """What independent, uniform outputs would reach: K^(1 - outputs); two onsets: 10 of 16 within a frame."""
    k = len(VALUES[question.attribute])
    result = {question.measure: k ** (1 - len(question.outputs))}
    if question.attribute == "onset":
        result["within one frame"] = sum(abs(a - b) <= 1 for a in range(k) for b in range(k)) / k**2
    return result


def digit_captions(n: int, seed: int) -> list[str]:
    """Captions that say a digit and nothing else, digits in turn."""
    rng = random.Random(seed)
    return [caption({"digit": DIGITS[i % len(DIGITS)]}, rng, voice=0.0) for i in range(n)]


def prompts_of(digit_said: bool, n: int, seed: int) -> dict[str, list[str]]:
    """n captions that say a digit, or no prompt at all."""
    return {"text": digit_captions(n, seed)} if digit_said else {}


def ask(question: Question, sampler: Sampler, n: int, joint: bool = True) -> dict[str, Any]:
    """n samples of what a question is about, output → samples, generated together, or each by itself."""
    return sampler(prompts_of(question.digit_said, n, sampler.seed), question.outputs, n, joint=joint)


def answer(question: Question, samples: Mapping[str, Any], judges: Judges | None = None) -> dict:
    """What `agreement` says of a question's samples, output → n samples; more outputs than it asks for may be there."""
    readings = {name: read(name, samples[name], judges) for name in question.outputs}
    selective = {name: READERS[name].formed is not None for name in question.outputs}
    return agreement(question.attribute, readings, selective)
