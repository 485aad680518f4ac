"""Talking Digits: sources, scenes, captions and pairs. ``data.world`` is for evaluation only."""

from .captions import (
    KEPT,
    OPEN,
    TOKENIZER,
    VOCABULARY,
    WRITTEN,
    caption,
    detokenize,
    meaning,
    paraphrases,
    parse,
    sample_subset,
    tokenize,
)
from .pairs import PAIRINGS, Drawn, Pairs, unpaired
from .scenes import (
    ATTRIBUTES_OF,
    COLOURS,
    DIGITS,
    MOTIONS,
    ONSETS,
    RENDERERS,
    WORDS,
    Scene,
    draw,
    render_audio,
    render_image,
    render_video,
)
from .sources import Source, load, trim

__all__ = [
    "ATTRIBUTES_OF", "COLOURS", "DIGITS", "KEPT", "MOTIONS", "ONSETS", "OPEN", "PAIRINGS", "RENDERERS", "TOKENIZER",
    "VOCABULARY", "WORDS", "WRITTEN", "Drawn", "Pairs", "Scene", "Source", "caption", "detokenize", "draw", "load",
    "meaning", "paraphrases", "parse", "render_audio", "render_image", "render_video", "sample_subset", "tokenize",
    "trim", "unpaired",
]  # fmt: skip
