"""The memory of captions: a prompt becomes a mixture of the captions nearest to it."""

import copy
from dataclasses import replace

import pytest
import torch

from codi_minimal import CoDi
from codi_minimal.config import preset
from codi_minimal.data import VOCABULARY
from codi_minimal.ours.caption_memory import CaptionMemory, Captions
from codi_minimal.recipes import PAPER
from tests.models import AUDIO, IMAGE, PROMPTS, random_codi


def holding(captions: torch.Tensor, size: int = 8) -> Captions:
    memory = Captions(captions.shape[1], size)
    memory.fit(captions)
    return memory


def test_an_empty_memory_leaves_prompts_as_they_are():
    c = torch.randn(3, 4)
    assert torch.equal(Captions(4, 8).project(c, 0.05), c)


def test_it_is_the_mean_of_captions_weighted_by_their_softmax_and_scaled_to_unit_norm():
    captions, c = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[0.8, 0.6]])
    ratio = torch.tensor((0.8 - 0.6) / 0.1).exp()  # of the two weights, by hand
    expected = torch.stack([ratio, torch.tensor(1.0)]) / (ratio.square() + 1).sqrt()
    torch.testing.assert_close(holding(captions).project(c, 0.1)[0], expected)


def test_a_caption_in_memory_stays_and_what_is_between_two_goes_to_the_nearer():
    captions = torch.eye(4)
    memory = holding(captions)
    torch.testing.assert_close(memory.project(captions, 0.02), captions)
    between = torch.nn.functional.normalize(torch.tensor([[0.6, 0.4, 0.0, 0.0]]), dim=-1)
    torch.testing.assert_close(memory.project(between, 0.02), captions[:1], rtol=0, atol=1e-3)


def test_rows_that_are_not_used_take_no_part():
    captions, c = torch.nn.functional.normalize(torch.randn(5, 4), dim=-1), torch.randn(3, 4)
    torch.testing.assert_close(holding(captions, 5).project(c, 0.05), holding(captions, 50).project(c, 0.05))


def test_captions_are_scaled_and_replace_those_before_and_too_many_are_thinned_evenly():
    memory = holding(torch.randn(8, 2))
    memory.fit(torch.tensor([[3.0, 4.0]]))
    assert memory.captions[0].tolist() == pytest.approx([0.6, 0.8]) and not memory.captions[1:].any()
    memory = Captions(2, 3)
    angles = torch.arange(7.0)
    memory.fit(torch.stack([angles.cos(), angles.sin()], dim=1))
    torch.testing.assert_close(memory.captions[:, 0], torch.tensor([0.0, 2.0, 4.0]).cos())


@pytest.mark.parametrize("captions", [torch.ones(3), torch.ones(2, 5), torch.zeros(1, 4)])
def test_other_captions_are_refused(captions):
    with pytest.raises(ValueError, match="expected captions"):
        Captions(4, 8).fit(captions)


@pytest.mark.parametrize(("values", "field"), [({"size": 0}, "size"), ({"tau": 0.0}, "tau"), ({"tau": "0.1"}, "tau")])
def test_a_memory_needs_room_and_a_temperature(values, field):
    with pytest.raises(ValueError, match=f"CaptionMemory.{field}: expected"):
        CaptionMemory(**values)


def test_each_prompt_is_projected_before_they_are_mixed_and_only_where_the_recipe_says_so():
    model = copy.deepcopy(random_codi())
    memory = model.additions["caption_memory"]
    memory.fit(model.encode_prompt("text", ["seven", "a red two"]))
    plain = {name: model.encode_prompt(name, PROMPTS[name]) for name in ("image", "audio")}
    prompts = {"image": IMAGE, "audio": AUDIO}
    projected = [memory.project(c, 0.02) for c in plain.values()]
    torch.testing.assert_close(model.condition(prompts), sum(projected) / 2)
    for recipe in ("paper", model.recipe.without("caption_memory")):
        torch.testing.assert_close(model.condition(prompts, recipe=recipe), sum(plain.values()) / 2)
    other = replace(PAPER, additions=(CaptionMemory(tau=0.5),))
    expected = sum(memory.project(c, 0.5) for c in plain.values()) / 2
    torch.testing.assert_close(model.condition(prompts, recipe=other), expected)
    assert (model.condition(prompts) - expected).abs().max() > 1e-3


def test_a_model_without_a_memory_says_so():
    model = CoDi(preset("tiny"), VOCABULARY, recipe="paper").eval()
    with pytest.raises(ValueError, match="expected a checkpoint with a memory of captions, or a recipe without it"):
        model.generate({"text": "seven"}, recipe="cascade", steps=1)


def test_attached_twice_it_keeps_its_captions():
    model = copy.deepcopy(random_codi())
    model.additions["caption_memory"].fit(torch.eye(model.config.model.d))
    CaptionMemory().attach(model)
    assert model.additions["caption_memory"].captions.sum() == model.config.model.d
