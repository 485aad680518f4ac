import pytest
from scipy.stats import binomtest

from codi_minimal.evaluation.statistics import Share, wilson


@pytest.mark.parametrize(("k", "n"), [(0, 10), (10, 10), (45, 50), (3, 7), (498, 500)])
def test_wilson_is_scipys(k, n):
    expected = binomtest(k, n).proportion_ci(0.95, method="wilson")
    assert wilson(k, n) == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_a_known_interval():
    assert wilson(45, 50) == pytest.approx((0.7864, 0.9565), abs=1e-4)


def test_of_nothing_nothing_is_known():
    assert wilson(0, 0) == (0, 1) and Share(0, 0).value is None and str(Share(0, 0)) == "-"


def test_shares_add_their_counts():
    assert (Share(1, 2) + Share(8, 8)).record() | {"interval": None} == {
        "k": 9,
        "n": 10,
        "value": 0.9,
        "interval": None,
    }


def test_more_successes_than_trials_are_refused():
    with pytest.raises(ValueError, match="k = 3 and n = 2"):
        Share(3, 2)
