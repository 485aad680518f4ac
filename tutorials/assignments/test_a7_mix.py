import pytest
import torch
from torch.nn import functional as F

from codi_minimal.prompts import mix

GENERATOR = torch.Generator().manual_seed(0)
TEXT, IMAGE, VOICE = (F.normalize(torch.randn(b, 16, generator=GENERATOR), dim=-1) for b in (4, 4, 1))


@pytest.mark.parametrize("weights", [None, [1, 1, 1], [3, 1, 0], [0.5, 0.2, 0.1]])
def test_it_is_the_packages_whatever_the_scale_of_the_weights(answer, close, weights):
    prompts = [TEXT, IMAGE, VOICE]
    close(
        answer.mix(prompts, weights),
        mix(prompts, weights),
        "divide by the sum of the weights; a batch of one is for all.",
    )


def test_one_prompt_is_itself_and_two_that_differ_are_shorter(answer, close):
    close(answer.mix([TEXT], [7]), TEXT, "divide by the sum of the weights.")
    assert (answer.mix([TEXT, IMAGE]).norm(dim=-1) < 1).all()
    close(answer.mix([TEXT, -TEXT]), torch.zeros_like(TEXT), "a mean; its length is not scaled back to 1 here.")


def test_the_caller_keeps_what_is_the_callers(answer):
    weights, before = [3.0, 1.0], TEXT.clone()
    answer.mix([TEXT, IMAGE], weights)
    assert weights == [3.0, 1.0] and torch.equal(TEXT, before)


@pytest.mark.parametrize("weights", [[3, -1], [0, 0]])
def test_weights_that_mean_nothing_are_refused(answer, weights):
    with pytest.raises(ValueError):
        answer.mix([TEXT, IMAGE], weights)
