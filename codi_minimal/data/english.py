"""What a text in everyday English says about a scene: tables of words (`synonyms.py`) and a few rules."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import pairwise, product, takewhile
from typing import NamedTuple

from . import synonyms

_LONGEST_TEXT = 200  # words
_DENIES, _OTHER = "denies", "other"  # kinds of phrases that name no attribute: "instead of", and "the right answer"
_STOPS = set(".,:;!?()")
_DIRECTIONS = (  # a side, the opposite side, and the motion towards it
    ("left", "right", "left"), ("right", "left", "right"), ("top", "bottom", "up"), ("bottom", "top", "down"),
    ("east", "west", "right"), ("west", "east", "left"), ("north", "south", "up"), ("south", "north", "down"),
)  # fmt: skip
_TO = ("to", "toward", "towards", "into", "via", "through", "off")


class Part(NamedTuple):
    """Words start … end − 1 of a text are a phrase of the tables.

    kind: an attribute, `_DENIES` or `_OTHER`. value: of the attribute; None is one that this world does not have.
    """

    start: int
    end: int
    kind: str
    value: str | None
    text: str


class Understood(NamedTuple):
    """What a text says.

    attributes: name → value, as `captions.caption` takes them. absent: words for what this world does not have.
    ignored: words that were not understood, or that others of the text replaced.
    """

    attributes: dict[str, str]
    absent: list[str]
    ignored: list[str]


def understand(text: str) -> Understood:
    """What a text says. Of several values of an attribute the last counts, because people correct themselves.

    >>> understand("Draw a five. Not red but blue, from left to right!").attributes
    {'digit': 'five', 'colour': 'blue', 'motion': 'right'}
    """
    words = words_of(text)
    if len(words) > _LONGEST_TEXT:
        raise ValueError(f"text: expected at most {_LONGEST_TEXT} words, got {len(words)}")
    parts = list(parts_of(words))
    wanted = without_denied(words, parts)
    attributes: dict[str, str] = {}
    absent: list[str] = []
    ignored: list[str] = []
    for name in ("digit", "colour", "motion"):
        said = [part for part in wanted if part.kind == name]
        if name == "digit":  # "one" may stand for something else: "an eight, a green one"
            said = [part for part in said if part.text != "one" or words[part.start - 1] in ("a", "number")] or said
        for part in said:
            if part.value != said[-1].value:
                ignored.append(part.text)
            elif part.value is None:
                absent.append(part.text)
            else:
                attributes[name] = part.value
    known = {i for part in parts for i in range(part.start, part.end)}
    ignored += [word for i, word in enumerate(words) if i not in known and _states_something(word)]
    return Understood(attributes, absent, list(dict.fromkeys(ignored)))


def _states_something(word: str) -> bool:
    """Whether a word is no filler, such as "please", and no stop word, such as "whose"."""
    return word not in _FILLERS and word not in _stop_words()


@cache
def _stop_words() -> frozenset[str]:
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS  # this takes a second, and few prompts need it

    return ENGLISH_STOP_WORDS - _CONTENT


def words_of(text: str) -> list[str]:
    """Words in lower case with their spelling corrected, numbers, and signs of punctuation."""
    for word, signs in synonyms.SIGNS.items():
        text = re.sub(f"[{signs}]", f" {word} ", text)
    text = unicodedata.normalize("NFKC", re.sub("[’'`´＇]", "", text)).lower()
    text = re.sub(r"[–—/&+…]|--+|\.\.+", " , ", text.replace("colour", "color").replace("%", " percent "))
    return [corrected(word) for word in re.findall(r"\d+(?:[.,:]\d+)+|\d+|[^\W\d_]+|[.,:;!?()]", text)]


def corrected(word: str) -> str:
    """The only word of `synonyms.SPELT` that begins alike and differs by one letter, or by two neighbours swapped."""
    if len(word) < 4 or word in _LISTED:
        return word
    near = [right for right in _SPELT if right[0] == word[0] and differ_by_one(word, right)]
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
        n, kind, value = phrase_at(words, i)
        if kind and not elsewhere(words, i, n, kind):
            yield Part(i, i + n, kind, value, " ".join(words[i : i + n]))
        i += n


def phrase_at(words: list[str], i: int) -> tuple[int, str, str | None]:
    """How many words the phrase has that starts with word i, its kind, or "", and its value."""
    n = next((n for n in range(min(_LONGEST, len(words) - i), 0, -1) if tuple(words[i : i + n]) in _TABLE), 1)
    kind, value = _TABLE.get(tuple(words[i : i + n]), ("", None))
    is_number, after = words[i][0].isdigit(), words[i + 1] if i + 1 < len(words) else ""
    if after in _UNITS and (is_number or (kind == "digit" and len(after) > 2)):  # "24 fps", "one minute"
        return 2, _OTHER, None
    if words[i] in _TENS and after in _ONES:  # "forty two"
        return 2, "digit", None
    return (n, "digit", None) if is_number and not kind else (n, kind, value)  # "128"


def elsewhere(words: list[str], i: int, n: int, kind: str) -> bool:
    """Whether a word of the tables is about something else: "the right answer", "on yellow paper", "like a leaf"."""
    word, before, after = words[i], words[max(0, i - 5) : i], words[i + n : i + n + 2]
    ends = not after or after[0] in _STOPS
    if kind == "colour":
        of_scenery = _SCENERY & set(after[:1]) or {"background", "backdrop", "border", "outline"} & set(before[-3:])
        return bool(of_scenery) or (word in _NOUNS and n == 1 and "color" not in " ".join([*before, *after]))
    if n > 1 or word not in ("left", "right", "up"):
        return False
    if word == "right" and after[:1] == ["?"] and before:  # "a seven, right?"
        return True
    if before[-1:] == ["the"]:
        return not ends and before[-2:-1] not in (["to"], ["toward"], ["towards"], ["into"], ["from"])
    person = before[-1] if before else ""
    return (word == "left" and person in _PERSONS) or (word == "up" and person in ("me", "us", "you"))


def without_denied(words: list[str], parts: list[Part]) -> list[Part]:
    """The attributes that are wanted: without "red" in "not red", "instead of red", and "red, no, blue"."""
    named = [part for part in parts if part.kind not in (_DENIES, _OTHER)]
    denied: set[Part] = set()
    for mark in (part for part in parts if part.kind == _DENIES):
        before = [part for part in named if part.end <= mark.start]
        after = object_of(mark, words, [part for part in named if part.start >= mark.end])
        if not after:
            continue
        alike = [part for part in before if part.kind == after[0].kind]
        if mark.text == "no" and alike and words[mark.start - 1] in _STOPS:  # a correction: "a red, no, a blue five"
            denied.update(alike)
        else:
            denied.update(listed(after, words))
            one, other = (*after, None, None)[:2]
            if other and one.end == other.start and any(part.kind == other.kind for part in before):
                denied.add(other)  # "a 2 instead of the yellow 4"
    return [part for part in named if part not in denied]


def object_of(mark: Part, words: list[str], after: list[Part]) -> list[Part]:
    """The parts after a negation, from the one that it denies on; empty if it denies none of them."""
    if not after:
        return []
    clause = list(takewhile(lambda word: word not in _STOPS | {"but"}, words[mark.end :]))
    if _VERBS & set(words[mark.end : after[0].start]):  # "don't let the red seven grow": it denies the motion
        end = mark.end + len(clause)
        return next((after[i:] for i, part in enumerate(after) if part.kind == "motion" and part.end <= end), [])
    return after if all(word in _BETWEEN for word in words[mark.end : after[0].start]) else []


def listed(after: list[Part], words: list[str]) -> list[Part]:
    """The first part, and those that are listed with it: "red, green or blue"."""
    last = 0
    for i, (one, other) in enumerate(pairwise(after), 1):
        between = set(words[one.end : other.start])
        if one.kind != other.kind or not between <= {",", "or", "nor", "and", "a", "the"}:
            break
        last = i if between & {"or", "nor", "and"} else last
    return after[: last + 1]


def table() -> dict[tuple[str, ...], tuple[str, str | None]]:
    """Words of a phrase → its kind, and the value of an attribute, or None if this world does not have it."""
    found: dict[tuple[str, ...], tuple[str, str | None]] = {}

    def enter(phrases: Iterable[str], kind: str, value: str | None = None) -> None:
        found.update({tuple(spelt(phrase).split()): (kind, value) for phrase in phrases})

    enter(synonyms.OTHER.split(), _OTHER)
    enter(synonyms.DENY.split(), _DENIES)
    for kind, values in (
        ("digit", synonyms.DIGIT_WORDS),
        ("colour", synonyms.COLOUR_WORDS),
        ("motion", synonyms.MOTION_WORDS),
    ):
        for value, phrases in values.items():
            enter(phrases.split(), kind, value)
    enter(" ".join(synonyms.NO_COLOURS.values()).split(), "colour")
    enter(synonyms.NO_MOTIONS.split(), "motion")
    enter(synonyms.NO_DIGITS.split(), "digit")
    sides = ("", " side", " edge", " hand side", " border")
    for (side, other, motion), the in product(_DIRECTIONS, ("", "the ")):
        enter([f"{to} {the}{side}{s}" for to in _TO for s in (*sides, " corner")], "motion", motion)
        enter([f"from {the}{other}{s}" for s in sides], "motion", motion)
        enter([f"{start}{the}{other} to {the}{side}" for start in ("", "from ")], "motion", motion)
    for value, sizes in (("growing", synonyms.LARGE), ("shrinking", synonyms.SMALL)):
        became = product(synonyms.BECOMES.split(), ("", "very", "really", "so"), sizes.split())
        enter(map(" ".join, became), "motion", value)
    return found


def spelt(phrase: str) -> str:
    """A phrase of the tables as `words_of` spells it."""
    return phrase.replace("_", " ").replace("colour", "color")


_TABLE = table()
_LONGEST = max(map(len, _TABLE))
_SPELT = synonyms.SPELT.split()
_BETWEEN = set(synonyms.BETWEEN.split())
_UNITS, _NOUNS, _SCENERY = set(synonyms.UNITS.split()), set(synonyms.NOUNS.split()), set(synonyms.SCENERY.split())
_LISTED = {word for key in _TABLE for word in key} | set(synonyms.NOT_MISSPELT.split()) | _BETWEEN
_ONES = {word for words in synonyms.DIGIT_WORDS.values() for word in words.split()}
_TENS = {word for word in synonyms.NO_DIGITS.split() if word.endswith("ty")}
_PERSONS = {"i", "he", "she", "they", "we", "you", "who"}
_VERBS = {"let", "lets", "move", "moves", "moving", "slide", "slides", "sliding"}
_CONTENT = {
    "thick", "thin", "fire", "back", "front", "top", "bottom", "side", "full", "empty", "above", "below", "third",
}  # fmt: skip
_FILLERS = _BETWEEN | _STOPS | set(synonyms.FILLERS.split())
NEAREST = {
    spelt(phrase): " and ".join(nearest.split())
    for nearest, phrases in synonyms.NO_COLOURS.items()
    for phrase in phrases.split()
}
