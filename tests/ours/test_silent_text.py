"""Text is denoised beside the outputs that were asked for, and then thrown away."""

from dataclasses import replace

import pytest
import torch

from codi_minimal.ours.silent_text import SilentText
from codi_minimal.recipes import PAPER, SHIPPED
from tests.models import random_codi

RECIPE = replace(PAPER, sampler="ddim", additions=(SilentText(),))
PLAIN = RECIPE.without("silent_text")
PAIR = {"outputs": ("image", "audio"), "steps": 4}


def latents(**settings) -> dict[str, torch.Tensor]:
    return random_codi().generate_latents(**{**PAIR, **settings})


def calls_of_text(**settings) -> int:
    calls = []
    handle = random_codi().modalities["text"].denoiser.register_forward_hook(lambda *_: calls.append(1))
    latents(guidance=1.0, **settings)
    handle.remove()
    return len(calls)


@pytest.mark.parametrize("recipe", [RECIPE, SHIPPED], ids=["alone", "shipped"])
def test_it_is_a_stream_like_others_and_is_not_returned(recipe):
    bridged, straight = latents(recipe=recipe), latents(recipe=recipe.without("silent_text"))
    beside = latents(outputs=("text", "image", "audio"), recipe=recipe)
    assert set(bridged) == {"image", "audio"}
    assert all(torch.equal(bridged[name], beside[name]) for name in bridged)
    assert not any(torch.equal(bridged[name], straight[name]) for name in bridged)


@pytest.mark.parametrize(
    "settings",
    [{"joint": False}, {"outputs": ("image",)}, {"prompts": {"text": "seven"}}, {"outputs": ("text", "image")}],
)
def test_there_is_none_with_a_prompt_or_where_no_streams_have_to_agree(settings):
    one, other = (latents(**settings, recipe=recipe)["image"] for recipe in (RECIPE, PLAIN))
    assert torch.equal(one, other)
    if "text" not in settings.get("outputs", ()):
        assert calls_of_text(**settings, recipe=RECIPE) == 0


def test_under_a_wiring_in_which_no_stream_sees_it_it_changes_nothing():
    for wiring in ("own", "off"):
        one, other = (latents(recipe=replace(r, wiring=wiring))["image"] for r in (RECIPE, PLAIN))
        assert torch.equal(one, other)


def test_it_takes_the_steps_that_outputs_are_given_or_the_recipes():
    steps = {"text": 5, "image": 15}
    recipe = replace(SHIPPED, steps=steps)
    for given, taken in ((3, 3), ({"image": 2, "audio": 2}, 5), ({"image": 2, "audio": 2, "text": 3}, 3)):
        assert calls_of_text(steps=given, recipe=recipe) == taken


def test_another_stream_can_be_it_but_only_one_that_exists():
    recipe = replace(PAPER, additions=(SilentText(stream="video"),))
    assert set(latents(recipe=recipe, steps=1)) == {"image", "audio"}
    with pytest.raises(ValueError, match="recipe: expected a modality out of text, image, audio, video, got 'smell'"):
        latents(recipe=replace(PAPER, additions=(SilentText(stream="smell"),)))
