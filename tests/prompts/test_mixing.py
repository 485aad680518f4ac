import pytest
import torch

from codi_minimal.prompts import mix

A = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
B = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]])


def test_one_prompt_is_left_as_it_is():
    assert torch.equal(mix([A]), A)
    assert torch.equal(mix([A], [7.0]), A)


def test_weights_are_normalised_and_default_to_equal():
    assert torch.allclose(mix([A, B]), (A + B) / 2)
    assert torch.allclose(mix([A, B], [3, 1]), 0.75 * A + 0.25 * B)
    assert torch.allclose(mix([A, B], [3, 1]), mix([A, B], torch.tensor([0.3, 0.1])))
    assert torch.equal(mix([A, B], [1, 0]), A)


def test_only_the_ratio_of_weights_matters_however_small_or_large_they_are():
    for size in (1e-300, 1e-50, 1.0, 1e308):
        torch.testing.assert_close(mix([A, B], [size, size / 3]), 0.75 * A + 0.25 * B)


def test_the_condition_is_not_scaled_back_to_unit_norm():
    assert torch.allclose(mix([A, B]).norm(dim=-1), torch.full((2,), 0.5**0.5))
    assert torch.allclose(mix([A, -A]), torch.zeros(2, 3))


def test_a_single_prompt_is_shared_by_the_batch():
    one = A[:1]
    assert torch.allclose(mix([one, B]), mix([one.repeat(2, 1), B]))
    assert mix([one, one]).shape == (1, 3)


def test_mixing_two_mixtures_is_mixing_all():
    nested = mix([mix([A, B], [1, 1]), B.flip(0)], [2, 1])
    assert torch.allclose(nested, mix([A, B, B.flip(0)], [1, 1, 1]))


@pytest.mark.parametrize(
    ("embeddings", "weights", "message"),
    [
        ([], None, "non-empty"),
        ([A, B[:, :2]], None, "one d"),
        ([A[0]], None, "one d"),
        ([A, torch.zeros(3, 3)], None, "batches of 3 or 1"),
        ([A, B], [1.0], "2 weights"),
        ([A, B], torch.ones(2, 3), "2 weights"),
        ([A, B], [1.0, -0.1], "finite weights >= 0"),
        ([A, B], [1.0, float("nan")], "finite weights >= 0"),
        ([A, B], [1.0, float("inf")], "finite weights >= 0"),
        ([A, B], [0.0, 0.0], "only zeros"),
    ],
)
def test_bad_input_is_refused(embeddings, weights, message):
    with pytest.raises(ValueError, match=message):
        mix(embeddings, weights)
