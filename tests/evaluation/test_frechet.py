import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from codi_minimal.evaluation.frechet import frechet_distance, frechet_estimate


def cloud(n, d, seed, scale=1.0):
    g = torch.Generator().manual_seed(seed)
    return scale * torch.randn(n, d, generator=g) @ torch.randn(d, d, generator=g) + torch.randn(d, generator=g)


@pytest.mark.parametrize("d", [1, 3, 16])
def test_it_is_the_formula_with_scipys_root(d):
    a, b = cloud(200, d, 0).double(), cloud(100, d, 1, 2.0).double()
    cov_a, cov_b = (np.atleast_2d(np.cov(x.numpy().T)) for x in (a, b))
    expected = float((a.mean(0) - b.mean(0)).square().sum()) + np.trace(cov_a + cov_b - 2 * sqrtm(cov_a @ cov_b).real)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)


def test_a_shift_by_v_is_worth_v_squared_and_nothing_is_worth_nothing():
    a = cloud(300, 8, 0)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-4)
    assert frechet_distance(a, a + 2) == pytest.approx(8 * 4, rel=1e-3)


def test_constant_features_have_no_variance_to_trip_over():
    a = torch.zeros(10, 4)
    assert frechet_distance(a, a + 1) == pytest.approx(4)


def test_between_sets_of_one_kind_the_distance_is_its_bias():
    g = torch.Generator().manual_seed(0)
    found = [frechet_estimate(*torch.randn(2, 100, 8, generator=g)) for _ in range(20)]
    expected = sum(e.value for e in found) / len(found)
    assert sum(e.bias for e in found) / len(found) == pytest.approx(expected, rel=0.15)
    assert sum(e.interval[0] <= expected <= e.interval[1] for e in found) >= 18
    assert all(e.n == 100 and e.interval[0] >= 0 for e in found)


def test_copies_of_an_item_are_no_evidence():
    a, b = cloud(60, 4, 0), cloud(60, 4, 1)
    item = torch.arange(60)

    def width(x):
        return x.interval[1] - x.interval[0]

    once, copied = frechet_estimate(a, b), frechet_estimate(a.repeat(5, 1), b, [item.repeat(5)])
    assert width(copied) == pytest.approx(width(once), rel=0.15)
    assert width(frechet_estimate(a.repeat(5, 1), b)) < 0.9 * width(copied)


@pytest.mark.parametrize(
    "bad", [torch.zeros(1, 4), torch.zeros(5, 3), torch.zeros(5), torch.full((5, 4), float("nan"))]
)
def test_bad_features_are_refused(bad):
    with pytest.raises(ValueError, match="expected"):
        frechet_distance(torch.zeros(5, 4), bad)
