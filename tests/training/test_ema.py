import pytest
import torch

from codi_minimal.training.optimizer import EMA


def test_average_equals_the_closed_form():
    """Σ_i (1 − d_i) Π_{j>i} d_j θ_i + Π d_i θ_start, where d_i = min(decay, (1 + i) / (10 + i))."""
    torch.manual_seed(0)
    start, history = torch.randn(5, dtype=torch.float64), torch.randn(60, 5, dtype=torch.float64)
    weight = start.clone()
    ema = EMA({"w": weight}, decay=0.8)
    for i, value in enumerate(history):
        weight.copy_(value)
        ema.update(i)
    d = torch.tensor([min(0.8, (1 + i) / (10 + i)) for i in range(60)], dtype=torch.float64)
    after = torch.tensor([d[i + 1 :].prod() for i in range(60)], dtype=torch.float64)
    expected = d.prod() * start + ((1 - d) * after) @ history
    torch.testing.assert_close(ema.shadow["w"], expected, rtol=1e-12, atol=1e-12)
    assert d[34] < 0.8 == d[36]  # the warm-up and what follows were both walked through


def test_first_update_forgets_most_of_the_start():
    weight = torch.zeros(3)
    ema = EMA({"w": weight}, decay=0.999)
    weight.fill_(1.0)
    ema.update(0)
    torch.testing.assert_close(ema.shadow["w"], torch.full((3,), 0.9))


def test_without_decay_the_average_is_the_last_weights_bit_for_bit():
    weight = torch.randn(1000)
    ema = EMA({"w": weight}, decay=0.0)
    for i in range(3):
        weight.copy_(torch.randn(1000))
        ema.update(i)
        assert torch.equal(ema.shadow["w"], weight)


def test_swap_exchanges_the_averages_and_the_weights_bit_for_bit():
    layer = torch.nn.Linear(2, 2)
    ema = EMA(dict(layer.named_parameters()), decay=0.5)
    with torch.no_grad():
        layer.weight.add_(1.0)
    live, averaged = layer.weight.detach().clone(), ema.shadow["weight"].clone()
    ema.swap()
    assert (
        torch.equal(layer.weight, averaged) and torch.equal(ema.shadow["weight"], live) and layer.weight.requires_grad
    )
    ema.swap()
    assert torch.equal(layer.weight, live) and torch.equal(ema.shadow["weight"], averaged)


@pytest.mark.parametrize("decay", [-0.1, 1.0, 2])
def test_bad_decay_is_refused(decay):
    with pytest.raises(ValueError, match="decay in"):
        EMA({}, decay)
