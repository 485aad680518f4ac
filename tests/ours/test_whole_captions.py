"""The regression onto captions that say all that a sample shows."""

import pytest
import torch
import torch.nn.functional as F

from codi_minimal.ours.whole_captions import WholeCaptions


def test_it_is_the_weight_times_the_mean_cosine_distance():
    own, whole = (F.normalize(torch.randn(4, 8), dim=-1) for _ in range(2))
    expected = 1.5 * (1 - F.cosine_similarity(own, whole)).mean()
    torch.testing.assert_close(WholeCaptions(weight=1.5).bridging_loss(own, whole), expected)
    assert WholeCaptions().bridging_loss(own, own) == pytest.approx(0, abs=1e-6)


def test_it_draws_each_prompt_to_its_own_caption():
    whole = F.normalize(torch.randn(4, 8), dim=-1)
    x = torch.randn(4, 8, requires_grad=True)
    for _ in range(200):
        (slope,) = torch.autograd.grad(WholeCaptions().bridging_loss(F.normalize(x, dim=-1), whole), x)
        x = (x - slope).detach().requires_grad_(True)
    assert (F.cosine_similarity(x, whole) > 0.99).all()


@pytest.mark.parametrize("weight", [-1.0, float("inf"), "3"])
def test_a_bad_weight_is_refused(weight):
    with pytest.raises(ValueError, match="weight"):
        WholeCaptions(weight=weight)
