"""Ours: prompts in everyday English are rewritten as captions.

Source: our own; tables of words and a few rules (`data/english.py`), no network.
Buys: digit, colour and motion are all right for 230 of 240 everyday phrases (tests/ours/test_plain_english.py).
Without it: remove this file and its lines in `recipes.py`; text prompts then have to be captions of the grammar.
"""

import random
import warnings
from typing import Any

from codi_minimal.config import checked
from codi_minimal.data.captions import caption, parse
from codi_minimal.data.english import NEAREST, understand
from codi_minimal.inputs import PromptWarning
from codi_minimal.recipe import Addition


@checked
class PlainEnglish(Addition):
    """A text becomes the caption that states the same attributes; a caption of the grammar stays as it is.

    A `PromptWarning` for a batch names what this world does not have, and the words that were ignored. Negated values
    and common words such as "please" are not named. ValueError: a text names no attribute of this world.
    """

    of_digits = True

    def rewrite(self, name: str, batch: Any) -> Any:
        if name != "text":
            return batch
        captions, notes = zip(*map(rephrase, batch), strict=True)
        if told := "; ".join(dict.fromkeys(filter(None, notes))):
            warnings.warn(PromptWarning(f"text: {told}"), stacklevel=2)
        return list(captions)


def rephrase(text: str) -> tuple[str, str]:
    """A caption of the grammar that says what the text says, and what there is to warn of, or "".

    >>> rephrase("Show me a crimson 7, please!")
    ('a seven in red', '')
    >>> rephrase("a purple eight")
    ('the number eight', "this world has no 'purple', but magenta and blue")

    Raises:
        ValueError: the text names no attribute that this world has, or is too long.
    """
    if parse(text) is not None:
        return text, ""
    attributes, absent, ignored = understand(text)
    notes = [f"this world has no {word!r}" + (f", but {NEAREST[word]}" if word in NEAREST else "") for word in absent]
    if not attributes:
        because = f" ({'; '.join(notes)})" if notes else ""
        raise ValueError(f"text: expected a digit, a colour or a motion, got {text!r}{because}")
    if ignored:
        notes.append(f"ignored {', '.join(map(repr, ignored))}")
    return caption(attributes, random.Random(0), voice=0), "; ".join(notes)  # a seed, so that words do not vary
