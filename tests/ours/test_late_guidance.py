"""Guidance starts after the first steps."""

from dataclasses import replace

import pytest
import torch

from codi_minimal.ours.late_guidance import LateGuidance
from codi_minimal.recipes import PAPER
from tests.models import random_codi

SETTINGS = {"prompts": {"text": "seven"}, "outputs": ("image",), "steps": 4}  # t = 999, 749, 499, 249


def late(**start: float):
    return replace(PAPER, sampler="ddim", additions=(LateGuidance(start),) if start else ())


def image(**settings) -> torch.Tensor:
    return random_codi().generate_latents(**SETTINGS, **settings)["image"]


def test_there_is_none_from_the_share_of_t_on_and_the_usual_one_below():
    addition = LateGuidance(start={"image": 0.9})
    assert [addition.scale("image", 3.0, t, None) for t in (0.999, 0.9, 0.899, 0.0)] == [1.0, 1.0, 3.0, 3.0]
    assert addition.scale("text", 3.0, 0.999, None) == 3.0


def test_guidance_starts_where_it_is_told():
    never, at_once, half = (image(guidance=4, recipe=late(image=start)) for start in (0.0, 1.0, 0.5))
    assert torch.equal(never, image(guidance=1, recipe=late()))
    assert torch.equal(at_once, image(guidance=4, recipe=late()))
    assert not torch.equal(half, never) and not torch.equal(half, at_once)


@pytest.mark.parametrize(("start", "sizes"), [(0.5, [1, 1, 2, 2]), (0.9, [1, 2, 2, 2]), (1.0, [2, 2, 2, 2])])
def test_steps_without_guidance_take_half_the_batch(start, sizes):
    seen = []
    net = random_codi().modalities["image"].denoiser
    handle = net.register_forward_hook(lambda _m, args, _o: seen.append(len(args[0])))
    image(guidance=4, recipe=late(image=start))
    handle.remove()
    assert seen == sizes


@pytest.mark.parametrize("start", [2.0, -0.1, float("nan"), "0.9"])
def test_its_start_is_a_share(start):
    with pytest.raises(ValueError, match=r"LateGuidance.start.image: expected"):
        LateGuidance(start={"image": start})
