import pytest
import torch

from codi_minimal.evaluation import statistics

ENDS = "the ends are (p + z²/2n ± z √(p (1 − p)/n + z²/4n²)) / (1 + z²/n), with p = k/n."


@pytest.mark.parametrize(("k", "n"), [(45, 50), (1, 4), (500, 1000), (0, 30), (30, 30)])
def test_it_is_the_packages(answer, k, n):
    assert answer.wilson(k, n) == pytest.approx(statistics.wilson(k / n, n), abs=1e-6), f"Hint: {ENDS}"


def test_no_error_in_few_samples_is_no_certainty(answer):
    low, high = answer.wilson(20, 20)
    assert low < 0.85, "Hint: p ± z √(p (1 − p)/n) has no width at p = 1; the root must hold q, not p."
    assert high == pytest.approx(1)


def test_it_stays_between_zero_and_one_and_turns_with_hits_and_misses(answer):
    for k in range(6):
        low, high = answer.wilson(k, 5)
        assert 0 <= low < high <= 1, "Hint: Wilson's interval needs no cutting, except for rounding."
        assert (1 - high, 1 - low) == pytest.approx(answer.wilson(5 - k, 5), abs=1e-6), f"Hint: {ENDS}"


def test_four_times_as_many_samples_halve_it(answer):
    widths = [high - low for low, high in (answer.wilson(n // 2, n) for n in (1000, 4000))]
    assert widths[0] / widths[1] == pytest.approx(2, rel=0.01), "Hint: the variance of a share is divided by n."


def right(n: int = 200) -> tuple[torch.Tensor, torch.Tensor]:
    """Two models that fail at nearly the same prompts: B is wrong where A is, and on some prompts more."""
    a, more = torch.rand(2, n, generator=torch.Generator().manual_seed(0))
    return a < 0.6, (a < 0.6) & (more < 0.9)


def test_pairs_are_compared_as_in_the_package(answer):
    a, b = right()
    expected = statistics.mean(a.double() - b.double()).interval
    hint = "Hint: subtract the pairs first, then take mean and standard deviation of the differences; n − 1 in s."
    assert answer.paired(a, b) == pytest.approx(expected, abs=1e-6), hint
    low, high = answer.paired(b, a)
    assert (-high, -low) == pytest.approx(expected, abs=1e-6), hint


def test_pairs_show_what_two_single_intervals_hide(answer):
    a, b = right()
    (low_a, _), (_, high_b) = (answer.wilson(int(x.sum()), len(x)) for x in (a, b))
    assert low_a < high_b  # the single intervals overlap
    hint = "Hint: the two answers to one prompt go together; do not add up the variances of A and of B."
    assert answer.paired(a, b)[0] > 0, hint


def test_pairs_in_small_numbers_are_computed_exactly(answer):
    a, b = torch.tensor([True, True, True, False]), torch.tensor([True, False, False, True])
    # d = 0, 1, 1, -1: mean 1/4, squared deviations add up to 11/4
    half = (11 / 4 / 3 / 4) ** 0.5
    assert answer.paired(a, b, z=1.0) == pytest.approx((0.25 - half, 0.25 + half), abs=1e-6), (
        "Hint: s has n − 1; divide it by √n."
    )
