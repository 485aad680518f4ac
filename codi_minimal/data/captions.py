"""Captions: a small grammar that states the attributes of a scene, and its exact inverse."""

import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import product

from ..tokenizer import spell_articles
from .scenes import ATTRIBUTES_OF, MOTIONS, WORDS, Scene

# {digit} and {colour} are words; a motion is a participle {doing} or a verb {does}.
TEMPLATES = {
    ("digit",): ("{digit}", "a {digit}", "the digit {digit}", "the number {digit}"),
    ("colour",): ("something {colour}", "a {colour} digit", "the {colour} digit", "a digit in {colour}"),
    ("motion",): ("something {doing}", "something that {does}", "a digit {doing}", "a digit that {does}"),
    ("digit", "colour"): ("a {colour} {digit}", "the {colour} {digit}", "{colour} {digit}", "a {digit} in {colour}"),
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
VOICE_TEMPLATES = ("a voice saying {digit}", "a voice says {digit}", "someone saying {digit}", "someone says {digit}")
# for each motion what {doing} and what {does} may be
PHRASES = {way: ((f"sliding {way}", f"moving {way}"), (f"slides {way}", f"moves {way}")) for way in MOTIONS[:4]}
PHRASES["growing"] = ("growing", "getting bigger"), ("grows", "gets bigger")
PHRASES["shrinking"] = ("shrinking", "getting smaller"), ("shrinks", "gets smaller")
# The probability that a caption states an attribute. WRITTEN: in captions that the text autoencoder and denoiser learn
# to write, so that every output has a digit to agree on. OPEN: in prompts that leave much open. WHOLE: in captions that
# say all that the other modality shows. KEPT: elsewhere.
KEPT = {"digit": 0.9, "colour": 0.7, "motion": 0.7}
WRITTEN = KEPT | {"digit": 1.0}
OPEN = dict.fromkeys(KEPT, 0.5)
WHOLE = dict.fromkeys(KEPT, 1.0)


def caption(attributes: Mapping[str, str], rng: random.Random, voice: float = 0.1) -> str:
    """A caption that states exactly the attributes given, for instance ``a red seven sliding left``.

    Args:
        attributes: a non-empty subset of digit, colour and motion, each a word of `WORDS`; else a ValueError.
        rng: draws the template and the phrase of a motion.
        voice: the probability that a caption of a digit alone mentions a voice.
    """
    if not attributes or any(value not in WORDS.get(name, ()) for name, value in attributes.items()):
        raise ValueError(f"expected a non-empty subset of {WORDS}, got {dict(attributes)}")
    names = tuple(name for name in ATTRIBUTES_OF["text"] if name in attributes)
    spoken = names == ("digit",) and rng.random() < voice
    template = rng.choice(VOICE_TEMPLATES if spoken else TEMPLATES[names])
    return _filled(template, attributes, *map(rng.choice, PHRASES.get(attributes.get("motion"), ())))


def sample_subset(names: Sequence[str], rng: random.Random, kept: Mapping[str, float] = KEPT) -> tuple[str, ...]:
    """A random non-empty subset of attribute names; `kept` has the probability of each.

    ValueError: there is no name or an unknown one, or all probabilities are zero.
    """
    if not names or not set(names) <= set(kept) or not any(kept[name] > 0 for name in names):
        raise ValueError(f"expected a non-empty subset of {dict(kept)}, some of it kept, got {tuple(names)}")
    subset = ()
    while not subset:
        subset = tuple(name for name in names if rng.random() < kept[name])
    return subset


def describe(
    scene: Scene, names: Sequence[str], rng: random.Random, voice: float = 0.1, kept: Mapping[str, float] = KEPT
) -> list[str]:
    """One caption for each scene, of a random non-empty subset of the attributes in `names`; else as `caption`."""
    subsets = ((words, sample_subset(names, rng, kept)) for words in scene.words())
    return [caption({name: words[name] for name in subset}, rng, voice) for words, subset in subsets]


def parse(text: str) -> dict[str, str] | None:
    """The attributes that a text states; None if the grammar does not produce it.

    >>> parse("a blue digit that grows")
    {'colour': 'blue', 'motion': 'growing'}
    >>> parse("a blue that digit grows") is None
    True
    """
    return dict(_LANGUAGE[text]) if text in _LANGUAGE else None


def meaning(text: str) -> str:
    """The attributes of a caption as one string, the same for paraphrases. ValueError: it is not of the grammar.

    >>> meaning("a blue digit that grows") == meaning("something blue getting bigger")
    True
    """
    attributes = parse(text)
    if attributes is None:
        raise ValueError(f"expected a caption of the grammar, got {text!r}")
    return " ".join(f"{name}={value}" for name, value in sorted(attributes.items()))


def sentences() -> Iterator[tuple[str, dict[str, str]]]:
    """Every caption of the grammar, with the attributes that it states; some come twice."""
    for names, templates in TEMPLATES.items():
        templates += VOICE_TEMPLATES if names == ("digit",) else ()
        for values in product(*(WORDS[name] for name in names)):
            attributes = dict(zip(names, values, strict=True))
            pairs = product(*PHRASES.get(attributes.get("motion"), ()))
            for pair, template in product(pairs, templates):
                yield _filled(template, attributes, *pair), attributes


def _filled(template: str, attributes: Mapping[str, str], doing: str = "", does: str = "") -> str:
    return spell_articles(template.format(**attributes, doing=doing, does=does))


_LANGUAGE = dict(sentences())  # a few thousand captions
VOCABULARY = tuple(sorted({word for text in _LANGUAGE for word in text.split()}))
