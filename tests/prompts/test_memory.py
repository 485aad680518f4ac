import pytest
import torch

from codi_minimal.prompts import CaptionMemory


def remembering(captions: torch.Tensor, size: int = 8, tau: float = 0.05) -> CaptionMemory:
    memory = CaptionMemory(captions.shape[1], size, tau)
    memory.fit(captions)
    return memory


def test_an_empty_memory_leaves_prompts_as_they_are():
    c = torch.randn(3, 4)
    assert torch.equal(CaptionMemory(4, 8)(c), c)


def test_it_is_the_mean_of_captions_weighted_by_their_softmax_and_scaled_to_unit_norm():
    captions, c = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[0.8, 0.6]])
    ratio = torch.tensor((0.8 - 0.6) / 0.1).exp()  # of the two weights, by hand
    expected = torch.stack([ratio, torch.tensor(1.0)]) / (ratio.square() + 1).sqrt()
    torch.testing.assert_close(remembering(captions, tau=0.1)(c)[0], expected)


def test_a_caption_that_is_remembered_stays_and_what_is_between_two_goes_to_the_nearer():
    captions = torch.eye(4)
    memory = remembering(captions, tau=0.02)
    torch.testing.assert_close(memory(captions), captions)
    between = torch.nn.functional.normalize(torch.tensor([[0.6, 0.4, 0.0, 0.0]]), dim=-1)
    torch.testing.assert_close(memory(between), captions[:1], rtol=0, atol=1e-3)


def test_room_that_is_not_used_takes_no_part():
    captions, c = torch.nn.functional.normalize(torch.randn(5, 4), dim=-1), torch.randn(3, 4)
    torch.testing.assert_close(remembering(captions, size=5)(c), remembering(captions, size=50)(c))


def test_captions_are_scaled_and_replace_those_before_and_too_many_are_thinned_evenly():
    memory = remembering(torch.randn(8, 2))
    memory.fit(torch.tensor([[3.0, 4.0]]))
    assert memory.captions[0].tolist() == pytest.approx([0.6, 0.8]) and not memory.captions[1:].any()
    memory = CaptionMemory(2, 3)
    angles = torch.arange(7.0)
    memory.fit(torch.stack([angles.cos(), angles.sin()], dim=1))
    torch.testing.assert_close(memory.captions[:, 0], torch.tensor([0.0, 2.0, 4.0]).cos())


@pytest.mark.parametrize("captions", [torch.ones(3), torch.ones(2, 5), torch.zeros(1, 4)])
def test_other_captions_are_refused(captions):
    with pytest.raises(ValueError, match="expected captions"):
        CaptionMemory(4, 8).fit(captions)


@pytest.mark.parametrize("size, tau", [(0, 0.1), (8, 0.0)])
def test_a_memory_needs_room_and_a_temperature(size, tau):
    with pytest.raises(ValueError, match="expected size"):
        CaptionMemory(4, size, tau)
