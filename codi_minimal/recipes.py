"""The three recipes: what of ours is used in which. An addition leaves by its line here and its file in `ours/`."""

from dataclasses import replace

from codi_minimal.ours.arrivals import Arrivals
from codi_minimal.ours.caption_memory import CaptionMemory
from codi_minimal.ours.centring import Centring
from codi_minimal.ours.guidance_beside import GuidanceBeside
from codi_minimal.ours.late_guidance import LateGuidance
from codi_minimal.ours.prompt_clocks import PromptClocks
from codi_minimal.ours.reading import Reading
from codi_minimal.ours.silent_text import SilentText
from codi_minimal.ours.stagger import Stagger
from codi_minimal.recipe import Recipe

# All streams at the same t; nothing is added.
PAPER = Recipe(name="paper", sampler="ddpm", steps=30, guidance=4.5)
# Streams start one after the other, and a finished one is a prompt for the next.
SHIPPED = Recipe(
    name="shipped",
    sampler="dpm-solver++",
    steps={"text": 15, "image": 15, "audio": 15, "video": 8},
    guidance={"text": 2.5, "image": 1.6, "audio": 1.6, "video": 2.7},
    additions=(
        Centring(),
        Reading(),
        CaptionMemory(tau=0.02),
        PromptClocks(),
        SilentText(),
        Stagger(share=0.85),
        Arrivals(),
        GuidanceBeside(g={"image": 3.0, "audio": 2.5}),
        LateGuidance(start={"image": 0.9, "video": 0.9}),
    ),
)
# One output after the other, each a prompt for the next, so that no stream under way is ever seen: the baseline.
CASCADE = replace(
    SHIPPED,
    name="cascade",
    additions=(
        CaptionMemory(tau=0.02),
        PromptClocks(),
        Stagger(share=1.0),
        Arrivals(),
        LateGuidance(start={"image": 0.9, "video": 0.9}),
    ),
)
RECIPES = {recipe.name: recipe for recipe in (PAPER, SHIPPED, CASCADE)}
