"""Guidance is stronger where a stream has an environment."""

from dataclasses import replace

import pytest
import torch

from codi_minimal.ours.guidance_beside import GuidanceBeside
from codi_minimal.ours.prompt_clocks import PromptClocks
from codi_minimal.recipes import PAPER
from tests.models import AUDIO, IMAGE, random_codi

ALONE, BESIDE = 1.5, 4.0
PLAIN = replace(PAPER, sampler="ddim", guidance=ALONE, additions=(PromptClocks(),))
RECIPE = replace(PLAIN, additions=(PromptClocks(), GuidanceBeside({"image": BESIDE, "audio": BESIDE})))


def test_its_scale_is_that_of_the_modality_only_where_there_is_an_environment():
    addition, env = GuidanceBeside(g={"image": 3.0}), torch.zeros(1, 2, 32)
    assert addition.scale("image", 1.6, 0.5, None) == 1.6
    assert addition.scale("image", 1.6, 0.5, env) == 3.0
    assert addition.scale("text", 1.6, 0.5, env) == 1.6


@pytest.mark.parametrize(
    ("prompts", "outputs", "joint", "changed", "g"),
    [
        ({"text": "seven"}, ("audio",), True, lambda r: r, ALONE),
        ({"image": IMAGE}, ("audio",), True, lambda r: r, ALONE),
        ({"text": "seven"}, ("audio", "image"), False, lambda r: r, ALONE),
        ({"text": "seven"}, ("audio", "image"), True, lambda r: replace(r, wiring="off"), ALONE),
        ({"text": "seven"}, ("audio", "image"), True, lambda r: r, BESIDE),
        ({"audio": AUDIO}, ("audio",), True, lambda r: r, BESIDE),  # the clock of the prompt
        ({"audio": AUDIO}, ("audio",), True, lambda r: r.without("prompt_clocks"), ALONE),
    ],
)
def test_guidance_is_another_where_there_is_an_environment(prompts, outputs, joint, changed, g):
    settings = {"prompts": prompts, "outputs": outputs, "steps": 2, "joint": joint}
    z = random_codi().generate_latents(**settings, recipe=changed(RECIPE))
    same = random_codi().generate_latents(**settings, recipe=changed(PLAIN), guidance=g)
    assert all(torch.equal(z[name], same[name]) for name in outputs)


def test_an_explicit_guidance_overrules_it():
    settings = {"prompts": {"text": "seven"}, "outputs": ("audio", "image"), "steps": 2}
    with_it, without, own = (
        random_codi().generate_latents(**settings, recipe=recipe, guidance=g)["image"]
        for recipe, g in ((RECIPE, 2.0), (PLAIN, 2.0), (RECIPE, None))
    )
    assert torch.equal(with_it, without) and not torch.equal(own, without)
    by_output = random_codi().generate_latents(**settings, recipe=RECIPE, guidance={"image": 2.0, "audio": 2.0})
    assert torch.equal(by_output["image"], with_it)
