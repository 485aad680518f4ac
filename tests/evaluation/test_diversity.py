import math

import pytest
import torch

from codi_minimal.evaluation.diversity import normalised_entropy, spread_ratio
from codi_minimal.evaluation.statistics import jackknife


def test_entropy_runs_from_collapse_to_uniform():
    assert normalised_entropy(torch.zeros(100, dtype=torch.long), range(10)) == 0
    assert normalised_entropy(torch.arange(1000) % 10, range(10)) == pytest.approx(1)
    assert normalised_entropy(torch.arange(1000) % 2, range(4)) == pytest.approx(0.5, abs=1e-3)


def test_unreadable_values_are_left_out():
    assert normalised_entropy(torch.tensor([-1] * 50 + [3] * 50), range(10)) == 0
    assert normalised_entropy(torch.tensor([-1, -1]), range(10)) == 0


def test_values_that_cannot_be_are_no_variety():
    right, wrong = torch.tensor([1, 2] * 40), torch.tensor([0, 5, 6, 7] * 20)
    assert normalised_entropy(torch.cat([right, wrong]), (1, 2, 3, 4)) == normalised_entropy(right, (1, 2, 3, 4)) < 0.6


def test_a_jackknife_finds_the_bias_of_few_samples():
    g, found = torch.Generator().manual_seed(0), []
    for _ in range(100):
        x = torch.randint(10, (40,), generator=g)
        found.append(jackknife(lambda i, x=x: normalised_entropy(x[i], range(10)), [40], (0, 1)))
    expected = sum(e.value for e in found) / len(found)
    assert expected == pytest.approx(1 - 9 / (2 * 40 * math.log(10)), abs=0.01)  # Miller (1955)
    assert sum(e.bias for e in found) / len(found) == pytest.approx(expected - 1, abs=0.01)
    assert sum(e.interval[0] <= expected <= e.interval[1] for e in found) >= 93


def test_spread_compares_variances_within_digits():
    g = torch.Generator().manual_seed(0)
    labels = torch.randint(10, (2000,), generator=g)
    centres = 100 * torch.randn(10, 4, generator=g)
    real, tight = (centres[labels] + scale * torch.randn(2000, 4, generator=g) for scale in (2.0, 1.0))
    assert spread_ratio(tight, labels, real, labels) == pytest.approx(0.25, rel=0.1)
    assert spread_ratio(centres[labels], labels, real, labels) == pytest.approx(0, abs=1e-9)
