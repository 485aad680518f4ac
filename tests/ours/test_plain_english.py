"""Prompts in everyday English: what they mean, what is warned of, and that captions stay as they are.

phrases.jsonl has 240 phrases of a writer who did not know the tables; they were not looked at while the rules were
made. phrases-dev.jsonl has 600 phrases of others, which the rules were made with.
"""

import json
import random
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from codi_minimal import experiments
from codi_minimal.data import WORDS
from codi_minimal.data.captions import parse, sentences
from codi_minimal.data.english import differ_by_one, understand
from codi_minimal.inputs import PromptWarning
from codi_minimal.ours.plain_english import PlainEnglish, rephrase
from codi_minimal.recipes import PAPER, SHIPPED
from tests.models import AUDIO, random_codi

RECIPE = replace(PAPER, steps=1, steps_beside=1, additions=(PlainEnglish(),))


def phrases(name: str) -> list[dict]:
    folder = Path(experiments.__file__ if name == "phrases.jsonl" else __file__).parent
    return [json.loads(line) for line in (folder / name).read_text(encoding="utf-8").splitlines()]


def scored(name: str) -> tuple[float, list[str]]:
    """The share of phrases whose digit, colour and motion are all right, and those that are wrong without a warning."""
    right, silent = 0, []
    for phrase in phrases(name):
        meaning = understand(phrase["text"])
        if all(meaning.attributes.get(attribute) == phrase[attribute] for attribute in WORDS):
            right += 1
        elif not meaning.absent and not meaning.ignored:
            silent.append(phrase["text"])
    return right / len(phrases(name)), silent


def test_phrases_that_the_rules_were_made_with():
    share, silent = scored("phrases-dev.jsonl")
    assert share >= 0.96 and len(silent) <= 2


def test_phrases_that_the_rules_were_not_made_with():
    share, silent = scored("phrases.jsonl")
    assert share >= 0.95 and len(silent) <= 1


def test_what_is_absent_is_named_in_every_phrase():
    for phrase in phrases("phrases.jsonl"):
        meaning = understand(phrase["text"])
        told = set(" ".join([*meaning.absent, *meaning.ignored]).split())
        for word in phrase["absent"]:
            assert told & set(word.replace("-", " ").split()), phrase["text"]


@pytest.mark.parametrize(
    ("text", "digit", "colour", "motion"),
    [
        ("Show me a 7", "seven", None, None),
        ("draw a green five going to the left please", "five", "green", "left"),
        ("an orange 3 that moves upwards", "three", "orange", "up"),
        ("Green", None, "green", None),
        ("blue number 6", "six", "blue", None),
        ("a crimson seven, not a blue one", "seven", "red", None),
        ("not red or green but blue", None, "blue", None),
        ("a red, no, a blue five", "five", "blue", None),
        ("a white 2 instead of the yellow 4", "two", "white", None),
        ("don't let the 4 grow", "four", None, None),
        ("the 4 must not move left but right", "four", None, "right"),
        ("from the left to the right", None, None, "right"),
        ("coming from the right side", None, None, "left"),
        ("the right answer is 2", "two", None, None),
        ("cheer me up with a nine", "nine", None, None),
        ("a blue 7 going left, right?", "seven", "blue", "left"),
        ("don't let the red seven grow", "seven", "red", None),
        ("why not a red seven?", "seven", "red", None),
        ("a seven that isn't red, green or blue", "seven", None, None),
        ("any colour but red, a 7", "seven", None, None),
        ("the seven rose up, falling from the sky", "seven", None, "down"),
        ("a red seven on a yellow background", "seven", "red", None),
        ("a red seven, the background should be white", "seven", "red", None),
        ("a red seven under a blue sky", "seven", "red", None),
        ("a red digit for Steven, filling the screen", None, "red", None),
        ("a seven, no, a one", "one", None, None),
        ("an eight, a green one", "eight", "green", None),
        ("give me 2 videos in red", None, "red", None),
        ("a blue 7 at 1.5x speed", "seven", "blue", None),
        ("a seven from the east", "seven", None, "left"),
        ("coloured like a lemon, a 3", "three", "yellow", None),
        ("a 3 falling like a leaf", "three", None, "down"),
        ("don´t make it red, a ７", "seven", None, None),
        ("he left me a lemon yellow six", "six", "yellow", None),
        ("a green leaf, an orange 8", "eight", "orange", None),
        ("gets really tiny", None, None, "shrinking"),
        ("a sevn in yelow, shrinknig", "seven", "yellow", "shrinking"),
        ("while I like the night: 1", "one", None, None),
        ("a 5 for 3 seconds at 24 fps in 4k", "five", None, None),
        ("⬆️ 🔵 9️⃣", "nine", "blue", "up"),
    ],
)
def test_meanings(text, digit, colour, motion):
    said = {"digit": digit, "colour": colour, "motion": motion}
    assert understand(text).attributes == {name: value for name, value in said.items() if value}


def test_a_number_or_colour_or_motion_that_is_absent_is_not_taken_for_another():
    meaning = understand("forty-two purple sevens, spinning")
    assert meaning.attributes == {"digit": "seven"} and meaning.absent == ["purple", "spinning"]
    assert understand("forty-two, cyan").attributes == {"colour": "cyan"}
    assert understand("number 128").absent == ["128"] and not understand("number 128").attributes
    assert understand("red, or better charcoal").attributes == {}


def test_captions_of_the_grammar_stay_as_they_are():
    for text, attributes in random.Random(0).sample(list(sentences()), 500):
        assert rephrase(text) == (text, "")
        assert understand(text).attributes == attributes, text


def test_other_texts_become_captions_that_say_the_same():
    text, note = rephrase("PLEASE, a crimson 7 drifting upwards")
    assert parse(text) == {"digit": "seven", "colour": "red", "motion": "up"} and not note


def test_notes_name_what_is_absent_with_the_nearest_and_what_is_ignored():
    text, note = rephrase("a photorealistic purple 8, somersaulting")
    assert text.endswith("eight")
    assert note == (
        "this world has no 'purple', but magenta and blue; this world has no 'somersaulting'; ignored 'photorealistic'"
    )


@pytest.mark.parametrize(
    ("text", "got"),
    [
        ("hello", "'hello'"),
        ("!", "'!'"),
        ("something purple", r"'something purple' \(this world has no 'purple', but magenta and blue\)"),
    ],
)
def test_a_text_that_says_nothing_about_this_world_is_refused(text, got):
    with pytest.raises(ValueError, match=f"text: expected a digit, a colour or a motion, got {got}"):
        rephrase(text)


def test_a_long_text_is_refused():
    with pytest.raises(ValueError, match="text: expected at most 200 words, got 402"):
        understand("not red " * 201)


def test_one_letter():
    for a, b in (("sevn", "seven"), ("sevenn", "seven"), ("sefen", "seven"), ("seevn", "seven"), ("even", "seven")):
        assert differ_by_one(a, b) and differ_by_one(b, a)
    for a, b in (("seven", "heaven"), ("nine", "mime"), ("eevns", "seven"), ("red", "seven")):
        assert not differ_by_one(a, b) and not differ_by_one(b, a)


# ---- as an addition


def test_prompts_and_given_texts_are_read_as_captions():
    model, caption = random_codi(), rephrase("a crimson 7")[0]
    settings = {"outputs": ("image",), "recipe": RECIPE}
    for kind in ("prompts", "given"):
        said, same = (model.generate_latents(**{kind: {"text": t}}, **settings) for t in ("a crimson 7", caption))
        assert torch.equal(said["image"], same["image"])
        other = model.generate_latents(**{kind: {"text": "a blue six"}}, **settings)
        assert not torch.equal(said["image"], other["image"])
    several, same = (
        model.generate_latents({"text": [[a], [b]], "audio": AUDIO}, **settings)
        for a, b in (("a 7", "crimson"), (rephrase("a 7")[0], rephrase("crimson")[0]))
    )
    assert torch.equal(several["image"], same["image"])


def test_a_call_warns_once_of_all_texts():
    texts = ["a purple seven", "a wooden six", "a wooden six", "a six"]
    with pytest.warns(PromptWarning) as caught:
        random_codi().generate_latents({"text": texts}, ("image",), recipe=RECIPE)
    assert [str(w.message) for w in caught] == [
        "text: this world has no 'purple', but magenta and blue; ignored 'wooden'"
    ]


def test_nothing_is_warned_of_where_all_is_understood():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        random_codi().generate_latents({"text": "Please draw a crimson 7!", "audio": AUDIO}, ("image",), recipe=RECIPE)


def test_the_recipes_that_are_not_the_paper_s_have_it():
    assert "plain_english" in [a.name for a in SHIPPED.additions]
