import pytest
import torch

from codi_minimal.evaluation.diversity import normalised_entropy, spread_ratio


def test_entropy_runs_from_collapse_to_uniform():
    assert normalised_entropy(torch.zeros(100, dtype=torch.long), range(10)) == 0
    assert normalised_entropy(torch.arange(1000) % 10, range(10)) == 1
    assert normalised_entropy(torch.arange(1000) % 2, range(4)) == pytest.approx(0.5, abs=1e-3)


def test_unreadable_values_are_left_out():
    assert normalised_entropy(torch.tensor([-1] * 50 + [3] * 50), range(10)) == 0
    assert normalised_entropy(torch.tensor([-1, -1]), range(10)) == 0


def test_values_that_cannot_be_are_no_variety():
    right, wrong = torch.tensor([1, 2] * 40), torch.tensor([0, 5, 6, 7] * 20)
    assert normalised_entropy(torch.cat([right, wrong]), (1, 2, 3, 4)) == normalised_entropy(right, (1, 2, 3, 4)) < 0.6


def test_few_samples_of_a_uniform_attribute_are_not_taken_for_a_collapse():
    g = torch.Generator().manual_seed(0)
    values = [normalised_entropy(torch.randint(10, (40,), generator=g), range(10)) for _ in range(300)]
    assert sum(values) / len(values) == pytest.approx(1, abs=0.02)  # without the correction .95


def test_spread_compares_variances_within_digits():
    g = torch.Generator().manual_seed(0)
    labels = torch.randint(10, (2000,), generator=g)
    centres = 100 * torch.randn(10, 4, generator=g)
    real, tight = (centres[labels] + scale * torch.randn(2000, 4, generator=g) for scale in (2.0, 1.0))
    assert spread_ratio(tight, labels, real, labels) == pytest.approx(0.25, rel=0.1)
    assert spread_ratio(centres[labels], labels, real, labels) == pytest.approx(0, abs=1e-9)
