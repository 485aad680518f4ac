"""The three recipes, and the additions that each has. Without an addition: remove its file and its lines here."""

from dataclasses import replace

from codi_minimal.ours.cascade import Cascade
from codi_minimal.ours.other_hands import OtherHands
from codi_minimal.ours.other_voices import OtherVoices
from codi_minimal.ours.plain_english import PlainEnglish
from codi_minimal.ours.prompt_clocks import PromptClocks
from codi_minimal.ours.reading import Reading
from codi_minimal.ours.whole_captions import WholeCaptions
from codi_minimal.recipe import Recipe

# All outputs at the same t; nothing is added. Together they take more steps, so that they can correct each other.
PAPER = Recipe(
    name="paper",
    sampler="dpm-solver++",
    steps={"text": 15, "image": 15, "audio": 15, "video": 8},
    guidance={"text": 2.5, "image": 1.6, "audio": 1.6, "video": 3.2},
    sampler_beside="restart",
    steps_beside=40,
    guidance_beside=4.5,
    guidance_start=0.9,
    shift={"video": 2.0},  # clips have more noise than the others at the same t
    given="t = 0",  # in the noise of the others' t, the onset of a given clip can be read too late
)
# PAPER, and it reads everyday English, and the clocks of prompts join the environment. The other additions act in
# training alone.
SHIPPED = replace(
    PAPER,
    name="shipped",
    additions=(
        WholeCaptions(),
        OtherHands(),
        OtherVoices(),
        Reading(),
        PlainEnglish(),
        PromptClocks(),
    ),
)
# The baseline: one output after the other, each a prompt for the next. No output sees an unfinished one.
CASCADE = replace(
    SHIPPED,
    name="cascade",
    sampler_beside=None,
    steps_beside=None,
    guidance_beside=None,
    additions=(
        PlainEnglish(),
        PromptClocks(),
        Cascade(),
    ),
)
RECIPES = {recipe.name: recipe for recipe in (PAPER, SHIPPED, CASCADE)}
