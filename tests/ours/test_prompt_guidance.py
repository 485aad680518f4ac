"""For some outputs guidance amplifies the prompt alone, and not the environment."""

from dataclasses import replace

import pytest
import torch

from codi_minimal.ours.prompt_guidance import PromptGuidance
from codi_minimal.recipes import PAPER
from tests.models import random_codi

RECIPE = replace(PAPER, sampler="ddim", guidance=3.0, steps=2, additions=(PromptGuidance(names=("text",)),))


def environments(name: str, recipe, prompts) -> list[torch.Tensor]:
    """Which tokens are there in each call of a denoiser, in both branches."""
    seen = []
    net = random_codi().modalities[name].denoiser
    handle = net.register_forward_hook(lambda _m, args, _o: seen.append(args[3].present))
    random_codi().generate_latents(prompts, ("text", "image"), recipe=recipe)
    handle.remove()
    return seen


def test_the_unguided_branch_of_these_outputs_sees_the_environment():
    prompts = {"text": "seven"}
    unguided, guided = environments("text", RECIPE, prompts)[0]
    assert torch.equal(unguided, guided) and guided.any()
    for name, recipe in (("image", RECIPE), ("text", RECIPE.without("prompt_guidance"))):
        unguided, guided = environments(name, recipe, prompts)[0]
        assert not unguided.any() and guided.any()


@pytest.mark.parametrize(("name", "branches"), [("text", 1), ("image", 2)])
def test_without_a_prompt_one_branch_is_enough_for_them(name, branches):
    assert [len(env) for env in environments(name, RECIPE, {})] == [branches] * 2


@pytest.mark.parametrize("prompts", [{}, {"text": "seven"}])
def test_it_changes_these_outputs(prompts):
    pair = {"outputs": ("text", "image"), "prompts": prompts}
    z, plain = (random_codi().generate_latents(**pair, recipe=r) for r in (RECIPE, RECIPE.without("prompt_guidance")))
    assert not torch.equal(z["text"], plain["text"])
