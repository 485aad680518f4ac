import math

import pytest
import torch
from torch.nn import functional as F

from codi_minimal.prompts import Temperature, clip_loss, repeated
from codi_minimal.training.prompts import composition_loss
from tests.test_pretend_gpu import run


def unit(*shape, seed=0, dtype=torch.float64):
    draw = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)
    return F.normalize(draw, dim=-1)


def test_clip_loss_is_the_equation_written_out():
    x, y, s = unit(5, 8), unit(5, 8, seed=1), 7.0
    positives = repeated(["a", "b", "a", "c", "b"])
    total = 0.0
    for i in range(5):
        for j in range(5):
            if positives[i, j]:
                share = positives[i].sum().item()
                total -= (s * x[i] @ y[j] - torch.logsumexp(s * y @ x[i], 0)).item() / share / 5
                total -= (s * x[j] @ y[i] - torch.logsumexp(s * x @ y[i], 0)).item() / share / 5
    assert clip_loss(x, y, s, positives).item() == pytest.approx(total / 2, rel=1e-12)


def test_unrelated_embeddings_cost_log_b():
    x, y = unit(6, 8), unit(6, 8, seed=1)
    assert clip_loss(x, y, 1e-9).item() == pytest.approx(math.log(6), abs=1e-6)


def test_the_loss_is_symmetric_and_blind_to_order():
    x, y = unit(6, 8), unit(6, 8, seed=1)
    positives = repeated(["a", "b", "a", "c", "d", "b"])
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    loss = clip_loss(x, y, 10.0, positives)
    assert torch.allclose(loss, clip_loss(y, x, 10.0, positives.T))
    assert torch.allclose(loss, clip_loss(x[order], y[order], 10.0, positives[order][:, order]))


def test_repeated_captions_are_not_pushed_apart():
    """Two captions, each three times, every item exactly on its caption: nothing is left to improve."""
    texts = ["seven", "red", "seven", "red", "red", "seven"]
    centre = torch.eye(2, 8, dtype=torch.float64)
    y = torch.stack([centre[int(text == "red")] for text in texts])
    grads = {}
    for name, positives in (("shared", repeated(texts)), ("plain", None)):
        x = y.clone().requires_grad_()
        clip_loss(x, y, 100.0, positives).backward()
        grads[name] = x.grad.abs().max().item()
    assert grads["shared"] < 1e-12
    # With plain InfoNCE, equal captions cannot tell three items apart, and the loss stays at log 3 instead.
    assert clip_loss(y, y, 100.0, None).item() == pytest.approx(math.log(3), rel=1e-9)

    # Off the optimum plain InfoNCE moves an item away from another that says the same.
    moved = {}
    for name, positives in (("shared", repeated(["seven"] * 2)), ("plain", None)):
        x = unit(2, 8, seed=2).requires_grad_()
        y2 = x.detach().clone()
        clip_loss(x, y2, 20.0, positives).backward()
        stepped = F.normalize(x.detach() - 0.01 * x.grad, dim=-1)
        moved[name] = (stepped[0] @ y2[1] - y2[0] @ y2[1]).item()
    assert moved["plain"] < 0 < moved["shared"]


def test_logits_are_never_in_half_precision():
    x, y, s = (unit(64, 32, dtype=torch.float32), unit(64, 32, seed=1, dtype=torch.float32), torch.tensor(50.0))
    with torch.autocast("cpu", torch.bfloat16):
        loss = clip_loss(x, y, s)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, clip_loss(x.double(), y.double(), 50.0).float(), rtol=1e-5, atol=1e-5)


def test_gradients_are_right():
    x, y = unit(4, 3).requires_grad_(), unit(4, 3, seed=1).requires_grad_()
    s = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    positives = repeated(["a", "b", "a", "c"])
    assert torch.autograd.gradcheck(lambda x, y, s: clip_loss(x, y, s, positives), (x, y, s))


def test_repeated_is_equality_of_captions():
    texts = ["a", "b", "a", "A"]
    assert repeated(texts).tolist() == [[left == right for right in texts] for left in texts]


@pytest.mark.parametrize(
    "positives", [torch.ones(3, 3), torch.ones(2, 3, dtype=torch.bool), torch.zeros(3, 3, dtype=torch.bool)]
)
def test_positives_that_are_not_a_reflexive_bool_matrix_are_refused(positives):
    with pytest.raises(ValueError, match="positives expected"):
        clip_loss(unit(3, 4), unit(3, 4), 1.0, positives)


def test_shapes_that_differ_are_refused():
    for x, y in ((unit(3, 4), unit(2, 4)), (unit(3, 4), unit(3, 5)), (unit(3, 4)[0], unit(3, 4)[0])):
        with pytest.raises(ValueError, match="clip_loss expected two"):
            clip_loss(x, y, 1.0)


def test_temperature_never_exceeds_100_and_can_come_back():
    temperature = Temperature()
    assert temperature().item() == pytest.approx(1 / 0.07, rel=1e-5)
    with torch.no_grad():
        temperature.log_scale.fill_(9.0)
    scale = temperature()
    assert scale.item() == pytest.approx(100, rel=1e-5)
    scale.backward()
    assert temperature.log_scale.grad.item() == pytest.approx(100, rel=1e-5)
    with pytest.raises(ValueError, match="tau"):
        Temperature(0.0)


def test_composition_loss_is_least_when_parts_add_up_to_the_whole():
    parts = [unit(6, 32), unit(6, 32, seed=1)]
    whole = F.normalize(parts[0] + parts[1], dim=-1)
    exact = composition_loss(whole, parts, 30.0)
    assert torch.allclose(exact, clip_loss(whole, whole, 30.0))
    for seed in range(2, 5):
        assert composition_loss(unit(6, 32, seed=seed), parts, 30.0) > exact + 1


def test_composition_loss_teaches_words_by_addition():
    """Free embeddings of 3 × 3 wholes and 6 parts: after training, a sum of parts finds its whole."""
    torch.manual_seed(0)
    colours, digits = torch.nn.Parameter(torch.randn(3, 16)), torch.nn.Parameter(torch.randn(3, 16))
    wholes = torch.nn.Parameter(torch.randn(9, 16))
    c, n = torch.arange(9) // 3, torch.arange(9) % 3
    optimiser = torch.optim.Adam([colours, digits, wholes], lr=0.05)

    def embedded():
        return F.normalize(wholes, dim=-1), [F.normalize(colours[c], dim=-1), F.normalize(digits[n], dim=-1)]

    for _ in range(100):
        optimiser.zero_grad()
        composition_loss(*embedded(), 20.0).backward()
        optimiser.step()
    whole, parts = embedded()
    assert ((parts[0] + parts[1]) @ whole.T).argmax(1).tolist() == list(range(9))


def test_composition_loss_refuses_parts_of_another_shape():
    with pytest.raises(ValueError, match="expected two"):
        composition_loss(unit(3, 4), [unit(2, 4)], 1.0)


def test_no_value_is_read_back_from_a_gpu():
    run("""
import torch
from codi_minimal.prompts import clip_loss
from tests.pretend_gpu import captured, pretend_gpu

with pretend_gpu() as device:
    x, positives = torch.randn(3, 4).to(device), torch.ones(3, 3, dtype=torch.bool, device=device)
    with captured():
        clip_loss(x, x, 10.0, positives)
""")
