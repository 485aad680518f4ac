"""The grammar says what it is asked to and nothing else, and its parser is its exact inverse."""

import random
from itertools import combinations

import pytest

from codi_minimal.data import (
    COLOURS,
    DIGITS,
    MOTIONS,
    OPEN,
    VOCABULARY,
    WRITTEN,
    caption,
    parse,
    sample_subset,
)
from codi_minimal.data.captions import PHRASES, TEMPLATES, VOICE_TEMPLATES, sentences
from codi_minimal.tokenizer import WordTokenizer

NAMES = ("digit", "colour", "motion")
SUBSETS = [subset for size in (1, 2, 3) for subset in combinations(NAMES, size)]
VALUES = {"digit": DIGITS, "colour": tuple(COLOURS), "motion": MOTIONS}


@pytest.mark.parametrize("subset", SUBSETS)
def test_captions_say_exactly_what_they_are_given(subset):
    rng = random.Random(0)
    heard = set()
    for _ in range(400):
        attributes = {name: rng.choice(VALUES[name]) for name in subset}
        text = caption(attributes, rng)
        assert parse(text) == attributes
        assert text == text.lower() and 1 <= len(text.split()) <= 12
        heard.add(text)
    assert len(heard) > 25


def test_no_sentence_means_two_things_and_every_template_is_used():
    language = {}
    for text, said in sentences():
        assert language.setdefault(text, said) == said
    assert set(TEMPLATES) == set(SUBSETS)
    rng = random.Random(0)
    for subset, templates in TEMPLATES.items():
        attributes = {name: {"digit": "six", "colour": "red", "motion": "growing"}[name] for name in subset}
        spoken = VOICE_TEMPLATES if subset == ("digit",) else ()
        doing, does = PHRASES["growing"]
        expected = {
            template.format(**attributes, doing=a, does=b)
            for template in templates + spoken
            for a in doing
            for b in does
        }
        assert {caption(attributes, rng, voice=0.5) for _ in range(600)} == expected


@pytest.mark.parametrize(
    "text, said",
    [
        ("a red seven sliding left", {"digit": "seven", "colour": "red", "motion": "left"}),
        ("seven", {"digit": "seven"}),
        ("something green", {"colour": "green"}),
        ("a voice saying seven", {"digit": "seven"}),
        ("a blue digit that grows", {"colour": "blue", "motion": "growing"}),
        ("an orange eight", {"digit": "eight", "colour": "orange"}),
        ("an eight that gets bigger", {"digit": "eight", "motion": "growing"}),
        ("a digit that moves left", {"motion": "left"}),
    ],
)
def test_examples_of_the_world(text, said):
    assert parse(text) == said


@pytest.mark.parametrize(
    "text",
    ["", "red", "a eight", "seven seven", "a red seven sliding", "A red seven", "red  six", "digit grows"],
)
def test_what_the_grammar_does_not_say_is_not_well_formed(text):
    assert parse(text) is None


def test_parse_gives_its_own_dictionary():
    parse("seven")["digit"] = "eight"
    assert parse("seven") == {"digit": "seven"}


def test_voice_says_how_often_a_digit_alone_is_spoken():
    rng = random.Random(0)
    said = [caption({"digit": "two"}, rng, voice=0.5) for _ in range(1000)]
    assert 420 < sum(text.startswith(("a voice", "someone")) for text in said) < 580
    assert not any("voice" in caption({"digit": "two", "colour": "red"}, rng, voice=1.0) for _ in range(50))


def test_subsets_are_never_empty_and_keep_the_digit_most():
    rng = random.Random(0)
    drawn = [sample_subset(NAMES, rng) for _ in range(4000)]
    assert set(drawn) == set(SUBSETS)
    share = {name: sum(name in subset for subset in drawn) / len(drawn) for name in NAMES}
    scale = 1 - 0.1 * 0.3 * 0.3  # empty ones are drawn again
    assert abs(share["digit"] - 0.9 / scale) < 0.02
    assert all(abs(share[name] - 0.7 / scale) < 0.03 for name in NAMES[1:])
    assert {sample_subset(["digit"], rng) for _ in range(50)} == {("digit",)}


def test_written_captions_name_the_digit_and_open_prompts_leave_out_much():
    rng = random.Random(0)
    assert all("digit" in sample_subset(NAMES, rng, WRITTEN) for _ in range(500))
    drawn = [sample_subset(NAMES, rng, OPEN) for _ in range(4000)]
    assert set(drawn) == set(SUBSETS)
    assert abs(drawn.count(("colour", "motion")) / len(drawn) - 1 / 7) < 0.02  # all subsets alike


def test_every_word_of_the_grammar_is_known_and_comes_back():
    assert len(VOCABULARY) == 46 and list(VOCABULARY) == sorted(VOCABULARY)
    texts = [text for text, _ in sentences()]
    tokenizer = WordTokenizer(VOCABULARY)
    assert tokenizer.decode(tokenizer.encode(texts)) == texts


def test_the_same_seed_says_the_same():
    attributes = {"digit": "seven", "colour": "red", "motion": "left"}
    runs = [[caption(attributes, rng) for _ in range(20)] for rng in map(random.Random, (5, 5, 6))]
    assert runs[0] == runs[1] != runs[2]


@pytest.mark.parametrize(
    "attributes", [{}, {"digit": "ten"}, {"onset": "2"}, {"colour": "seven"}, {"digit": "one", "size": "big"}]
)
def test_unknown_attributes_are_refused(attributes):
    with pytest.raises(ValueError, match="expected a non-empty subset"):
        caption(attributes, random.Random(0))


@pytest.mark.parametrize("names", [(), ("onset",), ("digit", "size")])
def test_unknown_names_are_refused(names):
    with pytest.raises(ValueError, match="expected a non-empty subset"):
        sample_subset(names, random.Random(0))
