"""Ours: prompts in everyday English are rewritten as captions.

Source: our own; tables of words and a few rules, no network. `data/synonyms.py` has the tables.
Buys: digit, colour and motion are all right for 231 of 240 everyday phrases (tests/ours/test_plain_english.py).
Without it: remove this file and its lines in `recipes.py`; text prompts then have to be captions of the grammar.
"""

import random
import re
import warnings
from collections.abc import Iterable, Iterator
from itertools import pairwise, product
from typing import Any, NamedTuple

from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from codi_minimal.config import checked
from codi_minimal.data import synonyms
from codi_minimal.data.captions import caption, parse
from codi_minimal.inputs import PromptWarning
from codi_minimal.recipe import Addition

OPPOSITE = {"left": "right", "right": "left", "top": "bottom", "bottom": "top"}
TOWARDS = {"left": "left", "right": "right", "top": "up", "bottom": "down"}
DENIES, OTHER = "denies", "other"  # what a phrase of the tables may do, where it names no attribute
STOPS = set(".,:;!?()")


class Part(NamedTuple):
    """Words start … end − 1 of a prompt name an attribute; a value of None is one that this world does not have."""

    start: int
    end: int
    attribute: str
    value: str | None
    text: str


class Meaning(NamedTuple):
    """What a prompt says.

    Args:
        attributes: name → value, as `captions.caption` takes them.
        absent: words for what this world does not have. ignored: words that were not understood, or superseded.
    """

    attributes: dict[str, str]
    absent: list[str]
    ignored: list[str]


@checked
class PlainEnglish(Addition):
    """A text prompt becomes the caption that states the same attributes; a caption of the grammar stays as it is.

    One `PromptWarning` a call names what this world does not have, and the words that were ignored. ValueError: a text
    names no attribute of this world.
    """

    def prompt(self, name: str, batch: Any) -> Any:
        if name != "text":
            return batch
        captions, notes = zip(*map(rephrase, batch), strict=True)
        if any(notes):
            warnings.warn(PromptWarning("; ".join(dict.fromkeys(filter(None, notes)))), stacklevel=2)
        return list(captions)


def rephrase(text: str) -> tuple[str, str]:
    """A caption of the grammar that says what the text says, and what there is to warn of, or "".

    >>> rephrase("Show me a crimson 7, please!")
    ('a red seven', '')
    >>> rephrase("a purple eight")
    ('eight', "text: this world has no 'purple', but magenta and blue")

    Raises:
        ValueError: the text names no attribute that this world has.
    """
    if parse(text) is not None:
        return text, ""
    attributes, absent, ignored = understand(text)
    notes = [f"this world has no {word!r}" + (f", but {NEAREST[word]}" if word in NEAREST else "") for word in absent]
    if not attributes:
        got = "; ".join(notes) or repr(text)
        raise ValueError(f"text: expected a digit, a colour or a motion in words, got {got}")
    if ignored:
        notes.append(f"ignored {', '.join(map(repr, ignored))}")
    return caption(attributes, random.Random(0), voice=0), f"text: {'; '.join(notes)}" if notes else ""


def understand(text: str) -> Meaning:
    """What a text says. Of several values of an attribute the last counts, because people correct themselves.

    >>> understand("Draw a five. Not red but blue, from left to right!").attributes
    {'digit': 'five', 'colour': 'blue', 'motion': 'right'}
    """
    words = words_of(text)
    parts = list(parts_of(words))
    wanted = without_denied(words, parts)
    attributes: dict[str, str] = {}
    absent: list[str] = []
    ignored: list[str] = []
    for name, choose in (("digit", digits), ("colour", colours), ("motion", list)):
        said = choose([part for part in wanted if part.attribute == name])
        if said and said[-1].value:
            attributes[name] = said[-1].value
        for part in said:
            if part.value != said[-1].value:
                ignored.append(part.text)
            elif part.value is None:
                absent.append(part.text)
    known = {i for part in parts for i in range(part.start, part.end)}
    strange = (word for i, word in enumerate(words) if i not in known and word not in FILLERS and word.isalpha())
    return Meaning(attributes, absent, list(dict.fromkeys([*ignored, *strange])))


def words_of(text: str) -> list[str]:
    """Words in lower case with their spelling corrected, numbers, and signs of punctuation."""
    for word, signs in synonyms.SIGNS.items():
        text = re.sub(f"[{signs}]", f" {word} ", text)
    text = re.sub("[’'`]", "", text.lower()).replace("colour", "color").replace("%", " percent ")
    text = re.sub(r"[–—/&+…]|--+|\.\.+", " , ", text)
    return [corrected(word) for word in re.findall(r"[^\W_]+|[.,:;!?()]", text)]


def corrected(word: str) -> str:
    """The word of `synonyms.SPELT` that differs by one letter, or by two neighbours swapped, if it is the only one."""
    if len(word) < 4 or word in LISTED:
        return word
    near = [right for right in synonyms.SPELT.split() if differ_by_one(word, right)]
    return near[0] if len(near) == 1 else word


def differ_by_one(a: str, b: str) -> bool:
    """Whether one letter is missing, added or another, or two neighbours are swapped."""
    start = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    a, b = a[start:], b[start:]
    return a[1:] == b or a == b[1:] or a[1:] == b[1:] or (a[:2] == b[1::-1] and len(a) > 1 and a[2:] == b[2:])


def parts_of(words: list[str]) -> Iterator[Part]:
    """The phrases of the tables, the longest first, from left to right."""
    i = 0
    while i < len(words):
        n = next((n for n in range(LONGEST, 0, -1) if tuple(words[i : i + n]) in TABLE), 1)
        attribute, value = TABLE.get(tuple(words[i : i + n]), ("", None))
        number, after = words[i].isdigit(), words[i + 1] if i + 1 < len(words) else ""
        if after in UNITS and (number or (attribute == "digit" and len(after) > 2)):  # "24 fps", "one minute"
            n, attribute = 2, OTHER
        elif number and not attribute:  # "128"
            attribute = "digit"
        elif words[i] in TENS and after in DIGIT:  # "forty two"
            n, attribute, value = 2, "digit", None
        if attribute and not means_other(words, i, n):
            yield Part(i, i + n, attribute, value, " ".join(words[i : i + n]))
        i += n


def means_other(words: list[str], i: int, n: int) -> bool:
    """Whether "left", "right" or "up" is no direction here: "the right answer", "he left", "cheer me up"."""
    word, before = words[i], words[max(0, i - 2) : i]
    if n > 1 or word not in ("left", "right", "up"):
        return False
    if before[-1:] == ["the"]:
        return before[0] not in ("to", "toward", "towards", "into", "from") and words[i + n : i + n + 1] not in (
            [], ["."], [","], ["!"],
        )  # fmt: skip
    person = before[-1] if before else ""
    return (word == "left" and person in PERSONS) or (word == "up" and person in ("me", "us", "you"))


def without_denied(words: list[str], parts: list[Part]) -> list[Part]:
    """The attributes that are wanted: without "red" in "not red", "instead of red", and "red, no, blue"."""
    named = [part for part in parts if part.attribute not in (DENIES, OTHER)]
    denied: set[Part] = set()
    for mark in (part for part in parts if part.attribute == DENIES):
        after = [part for part in named if part.start >= mark.end]
        if len(after) > 1 and after[0].attribute == "digit" and words[after[0].start - 1] in ("the", "my"):
            after = after[after[1].attribute == "motion" :]  # "the 4 must not", "don't let the 4 grow"
        if not after or any(word not in BETWEEN and (word,) not in TABLE for word in words[mark.end : after[0].start]):
            continue
        before = [part for part in named if part.end <= mark.start and part.attribute == after[0].attribute]
        if mark.text == "no" and before and words[mark.start - 1] in STOPS:  # a correction: "a red, no, a blue five"
            denied.update(before)
            continue
        denied.add(after[0])
        for one, other in pairwise(after):  # "not red or green", "a 2 instead of the yellow 4"
            listed = one.attribute == other.attribute and {"or", "nor"} & set(words[one.end : other.start])
            joined = one.end == other.start and any(
                part.attribute == other.attribute and part.end <= mark.start for part in named
            )
            if not listed and not joined:
                break
            denied.add(other)
    return [part for part in named if part not in denied]


def digits(said: list[Part]) -> list[Part]:
    """Without "one" where another digit is named: "an eight, a green one"."""
    return [part for part in said if part.text != "one"] or said


def colours(said: list[Part]) -> list[Part]:
    """Without things that have a colour, such as "leaf", where a colour is named."""
    return [part for part in said if part.text not in NOUNS] or said


def table() -> dict[tuple[str, ...], tuple[str, str | None]]:
    """Words of a phrase → the attribute that it names, and the value, or None if this world does not have it."""
    found: dict[tuple[str, ...], tuple[str, str | None]] = {}

    def enter(phrases: Iterable[str], attribute: str, value: str | None) -> None:
        for phrase in phrases:
            found[tuple(phrase.replace("colour", "color").replace("_", " ").split())] = attribute, value

    enter(synonyms.OTHER.split(), OTHER, None)
    enter(synonyms.DENY.split(), DENIES, None)
    tables = {"digit": synonyms.DIGITS, "colour": synonyms.COLOURS, "motion": synonyms.MOTIONS}
    for attribute, values in tables.items():
        for value, phrases in values.items():
            enter(phrases.split(), attribute, value)
    enter(" ".join(synonyms.NO_COLOURS.values()).split(), "colour", None)
    enter(synonyms.NO_MOTIONS.split(), "motion", None)
    enter(synonyms.NO_DIGITS.split(), "digit", None)
    for (side, other), the in product(OPPOSITE.items(), ("", "the ")):
        sides = ("", " side", " edge", " hand side", " border")
        enter([f"{to} {the}{side}{s}" for to in TO for s in (*sides, " corner")], "motion", TOWARDS[side])
        enter([f"from {the}{side}{s}" for s in sides], "motion", TOWARDS[other])
        enter([f"{start}{the}{side} to {the}{other}" for start in ("", "from ")], "motion", TOWARDS[other])
    for value, sizes in (("growing", synonyms.LARGE), ("shrinking", synonyms.SMALL)):
        became = product(synonyms.BECOMES.split(), ("", "very", "really", "so"), sizes.split())
        enter(map(" ".join, became), "motion", value)
    return found


TO = ("to", "toward", "towards", "into", "via", "through", "off")
TABLE = table()
LONGEST = max(map(len, TABLE))
LISTED = {word for key in TABLE for word in key} | set(synonyms.NOT_MISSPELT.split()) | set(synonyms.BETWEEN.split())
UNITS, NOUNS, BETWEEN = (set(words.split()) for words in (synonyms.UNITS, synonyms.NOUNS, synonyms.BETWEEN))
DIGIT = {word: value for value, words in synonyms.DIGITS.items() for word in words.split()}
TENS = {word for word in synonyms.NO_DIGITS.split() if word.endswith("ty")}
PERSONS = {"i", "he", "she", "they", "we", "you", "who"}
FILLERS = ENGLISH_STOP_WORDS | BETWEEN | set(synonyms.FILLERS.split())
NEAREST = {
    word.replace("_", " "): nearest.replace(" ", " and ")
    for nearest, words in synonyms.NO_COLOURS.items()
    for word in words.split()
}
