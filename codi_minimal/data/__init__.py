"""Talking Digits: sources, scenes, captions and pairs. ``data.world`` is for the evaluation only."""

from .captions import KEPT, OPEN, VOCABULARY, WHOLE, WRITTEN, caption, meaning, parse, sample_subset
from .corpus import Corpus, TalkingDigits, distractors, wholes_and_parts
from .own_pairs import OwnPairs
from .pairs import PAIRINGS, Drawn, Pairs, unpaired
from .sources import Source, load
from .voices import trim

from .scenes import (  # isort: skip
    ATTRIBUTES_OF, COLOURS, DIGITS, MOTIONS, ONSETS, RENDERERS, WORDS, Scene, draw, render_audio, render_image,
    render_video,
)  # fmt: skip

__all__ = [
    "ATTRIBUTES_OF", "COLOURS", "DIGITS", "KEPT", "MOTIONS", "ONSETS", "OPEN", "PAIRINGS", "RENDERERS", "VOCABULARY",
    "WHOLE", "WORDS", "WRITTEN", "Corpus", "Drawn", "OwnPairs", "Pairs", "Scene", "Source", "TalkingDigits", "caption",
    "distractors", "draw", "load", "meaning", "parse", "render_audio", "render_image", "render_video", "sample_subset",
    "trim", "unpaired", "wholes_and_parts",
]  # fmt: skip
