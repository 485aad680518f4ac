"""Captions: a small grammar that says exactly the attributes it is given, and its exact inverse."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import product

from ..tokenizer import WordTokenizer, spell_articles
from .scenes import ATTRIBUTES_OF, COLOURS, DIGITS, MOTIONS, WORDS, Scene

# {digit} and {colour} are words; a motion is a participle {doing} or a verb {does}.
TEMPLATES = {
    ("digit",): ("{digit}", "a {digit}", "the digit {digit}", "the number {digit}"),
    ("colour",): ("something {colour}", "a {colour} digit", "the {colour} digit", "a digit in {colour}"),
    ("motion",): ("something {doing}", "something that {does}", "a digit {doing}", "a digit that {does}"),
    ("digit", "colour"): (
        "a {colour} {digit}", "the {colour} {digit}", "{colour} {digit}", "a {digit} in {colour}",
    ),
    ("digit", "motion"): (
        "a {digit} {doing}", "a {digit} that {does}", "the {digit} {does}", "the digit {digit} {doing}",
        "{digit} {doing}",
    ),
    ("colour", "motion"): (
        "a {colour} digit {doing}", "a {colour} digit that {does}", "the {colour} digit {does}",
        "something {colour} {doing}", "something {colour} that {does}",
    ),
    ("digit", "colour", "motion"): (
        "a {colour} {digit} {doing}", "a {colour} {digit} that {does}", "the {colour} {digit} {does}",
        "a {digit} in {colour} {doing}", "{colour} {digit} {doing}",
    ),
}  # fmt: skip
VOICE_TEMPLATES = (
    "a voice saying {digit}", "a voice says {digit}", "someone saying {digit}", "someone says {digit}",
)  # fmt: skip
DOING = {
    **{way: (f"sliding {way}", f"moving {way}") for way in MOTIONS[:4]},
    "growing": ("growing", "getting bigger"),
    "shrinking": ("shrinking", "getting smaller"),
}
DOES = {
    **{way: (f"slides {way}", f"moves {way}") for way in MOTIONS[:4]},
    "growing": ("grows", "gets bigger"),
    "shrinking": ("shrinks", "gets smaller"),
}
# How often a caption says an attribute that it may say: usually; where it is written, not read, so that text, too,
# always has a digit to agree on; and as a prompt that leaves much open.
KEPT = {"digit": 0.9, "colour": 0.7, "motion": 0.7}
WRITTEN = KEPT | {"digit": 1.0}
OPEN = dict.fromkeys(KEPT, 0.5)


def caption(attributes: Mapping[str, str], rng: random.Random, voice: float = 0.1) -> str:
    """A caption that says exactly the attributes given, for instance ``a red seven sliding left``.

    Args:
        attributes: a non-empty subset of digit, colour and motion, each a word of the world.
        rng: chooses the template and the motion's phrase.
        voice: how often a caption of a digit alone speaks of a voice.

    Raises:
        ValueError: on no attribute, or an unknown attribute or value.
    """
    wrong = {key: value for key, value in attributes.items() if value not in WORDS.get(key, ())}
    if wrong or not attributes:
        raise ValueError(f"expected a non-empty subset of {WORDS}, got {dict(attributes)}")
    key = tuple(name for name in ATTRIBUTES_OF["text"] if name in attributes)
    spoken = key == ("digit",) and rng.random() < voice
    template = rng.choice(VOICE_TEMPLATES if spoken else TEMPLATES[key])
    motion = attributes.get("motion")
    phrases = {"doing": rng.choice(DOING[motion]), "does": rng.choice(DOES[motion])} if motion else {}
    return _say(template, {**attributes, **phrases})


def sample_subset(names: Sequence[str], rng: random.Random, kept: Mapping[str, float] = KEPT) -> tuple[str, ...]:
    """A random non-empty subset of attribute names, each kept as often as `kept` says.

    Raises:
        ValueError: on no name or an unknown one, or if none would ever be kept.
    """
    if not names or not set(names) <= set(kept) or not any(kept[name] > 0 for name in names):
        raise ValueError(f"expected a non-empty subset of {dict(kept)}, some of it kept, got {tuple(names)}")
    while True:
        subset = tuple(name for name in names if rng.random() < kept[name])
        if subset:
            return subset


def describe(
    scene: Scene,
    sayable: Sequence[str],
    rng: random.Random,
    voice: float = 0.1,
    kept: Mapping[str, float] = KEPT,
) -> list[str]:
    """One caption a scene, each of a random non-empty subset of the sayable attributes."""
    said = ((words, sample_subset(sayable, rng, kept)) for words in scene.words())
    return [caption({name: words[name] for name in names}, rng, voice) for words, names in said]


def parse(text: str) -> dict[str, str] | None:
    """The attributes that a text says; None if the grammar does not produce it.

    >>> parse("a blue digit that grows")
    {'colour': 'blue', 'motion': 'growing'}
    >>> parse("a blue that digit grows") is None
    True
    """
    said = _language().get(text)
    return None if said is None else dict(said)


def meaning(text: str) -> str:
    """What a caption says, in one form for all captions that say the same: a key for `prompts.repeated`.

    >>> meaning("a blue digit that grows") == meaning("something blue getting bigger")
    True

    Raises:
        ValueError: if the grammar does not produce the caption.
    """
    said = parse(text)
    if said is None:
        raise ValueError(f"expected a caption of the grammar, got {text!r}")
    return " ".join(f"{name}={said[name]}" for name in sorted(said))


def _say(template: str, words: Mapping[str, str]) -> str:
    return spell_articles(template.format(**words))


def sentences() -> Iterator[tuple[str, dict[str, str]]]:
    """Every caption of the grammar, with what it says."""
    spoken = {("digit",): VOICE_TEMPLATES}
    for key, templates in TEMPLATES.items():
        for values in product(*(WORDS[name] for name in key)):
            said = dict(zip(key, values, strict=True))
            pairs = product(DOING[said["motion"]], DOES[said["motion"]]) if "motion" in said else [("", "")]
            for (doing, does), template in product(pairs, templates + spoken.get(key, ())):
                yield _say(template, {**said, "doing": doing, "does": does}), said


def paraphrases() -> list[list[str]]:
    """Every caption of the grammar, those that say the same in a list of their own."""
    groups: dict[tuple, list[str]] = {}
    for text, said in sentences():
        groups.setdefault(tuple(said.items()), []).append(text)
    return list(groups.values())


@cache
def _language() -> dict[str, dict[str, str]]:
    return dict(sentences())  # the language is finite and small, so looking up is exact


def _vocabulary() -> tuple[str, ...]:
    phrases = [*VOICE_TEMPLATES, *(t for ts in TEMPLATES.values() for t in ts)]
    phrases += [phrase for table in (DOING, DOES) for variants in table.values() for phrase in variants]
    words = {word for phrase in phrases for word in phrase.split() if "{" not in word}
    return tuple(sorted(words | {"an", *DIGITS, *COLOURS}))


VOCABULARY = _vocabulary()
TOKENIZER = WordTokenizer(VOCABULARY)
tokenize = TOKENIZER.encode
detokenize = TOKENIZER.decode
