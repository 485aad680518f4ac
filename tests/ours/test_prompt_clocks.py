"""The clock tokens of prompts are part of the environment, and nothing else of prompts is."""

from dataclasses import replace

import torch

from codi_minimal.ours.prompt_clocks import PromptClocks
from codi_minimal.recipes import PAPER
from tests.models import AUDIO, IMAGE, VIDEO, random_codi

RECIPE = replace(PAPER, sampler="ddim", guidance=2.0, steps=2, additions=(PromptClocks(),))


def video(prompts, recipe=RECIPE, **settings) -> torch.Tensor:
    return random_codi().generate_latents(prompts, ("video",), recipe=recipe, **settings)["video"]


def test_a_prompt_is_part_of_the_environment_unless_it_is_not_wanted_or_weighs_nothing():
    prompts = {"text": "seven", "audio": AUDIO}
    assert not torch.equal(video(prompts), video(prompts, RECIPE.without("prompt_clocks")))
    silent = video(prompts, weights={"text": 1.0, "audio": 0.0})
    torch.testing.assert_close(video({"text": "seven"}), silent, rtol=1e-4, atol=1e-5)


def test_prompts_without_a_time_axis_change_nothing():
    prompts = {"text": "seven", "image": IMAGE}
    assert torch.equal(video(prompts), video(prompts, RECIPE.without("prompt_clocks")))


def test_prompts_of_a_batch_are_seen_by_their_own_samples():
    settings = {"noise": {"video": torch.randn(1, 8, 4, 8, 8).expand(4, -1, -1, -1, -1)}}
    both = video({"audio": torch.stack([AUDIO, -AUDIO.flip(0)])}, num_samples=2, **settings)
    one = video({"audio": AUDIO}, num_samples=4, **settings)
    torch.testing.assert_close(both[:2], one[:2], rtol=1e-4, atol=1e-5)
    assert (both[2:] - one[2:]).abs().max() > 1e-4


def test_of_prompts_only_the_clock_is_part_of_the_environment():
    model = random_codi()
    with torch.no_grad():
        tokens = PromptClocks().tokens(model, {"text": [["seven"]], "image": [IMAGE[None]], "audio": [AUDIO[None]]})
        (audio,) = tokens  # the others have no clock
        m = model.modalities["audio"]
        expected = m.environment(m.encode(AUDIO[None]), torch.tensor([0]))
    assert audio.shape == (1, 8, model.config.model.d_env)
    torch.testing.assert_close(audio, expected[:, m.environment.summary :])


def test_each_prompt_of_a_modality_has_its_own_tokens():
    tokens = PromptClocks().tokens(random_codi(), {"audio": [AUDIO[None], AUDIO[None]], "video": [VIDEO[None]]})
    assert len(tokens) == 3
