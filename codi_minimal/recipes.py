"""The three recipes: what of ours is used in which. An addition leaves by its line here and its file in `ours/`."""

from dataclasses import replace

from codi_minimal.ours.arrivals import Arrivals
from codi_minimal.ours.caption_memory import CaptionMemory
from codi_minimal.ours.centring import Centring
from codi_minimal.ours.prompt_clocks import PromptClocks
from codi_minimal.ours.reading import Reading
from codi_minimal.ours.silent_text import SilentText
from codi_minimal.ours.stagger import Stagger
from codi_minimal.ours.whole_captions import WholeCaptions
from codi_minimal.recipe import Recipe

# All streams at the same t; nothing is added.
PAPER = Recipe(name="paper", sampler="ddpm", steps=30, guidance=4.5)
# Streams start one after the other, and a finished one is a prompt for the next.
SHIPPED = Recipe(
    name="shipped",
    sampler="dpm-solver++",
    steps={"text": 15, "image": 15, "audio": 15, "video": 8},
    guidance={"text": 2.5, "image": 1.6, "audio": 1.6, "video": 2.7},
    guidance_beside={"image": 3.0, "audio": 2.5},
    guidance_start={"image": 0.9, "video": 0.9},
    additions=(
        Centring(),
        WholeCaptions(),
        Reading(),
        CaptionMemory(tau=0.02),
        PromptClocks(),
        SilentText(),
        Stagger(share=0.85),
        Arrivals(),
    ),
)
# One output after the other, each a prompt for the next, so that no stream under way is ever seen: the baseline.
CASCADE = replace(
    SHIPPED,
    name="cascade",
    guidance_beside=None,
    additions=(
        CaptionMemory(tau=0.02),
        PromptClocks(),
        Stagger(share=1.0),
        Arrivals(),
    ),
)
RECIPES = {recipe.name: recipe for recipe in (PAPER, SHIPPED, CASCADE)}
