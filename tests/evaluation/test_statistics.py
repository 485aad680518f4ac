import json

import pytest
import torch
from scipy.stats import binomtest

from codi_minimal.evaluation.progress import estimates
from codi_minimal.evaluation.statistics import Estimate, average, jackknife, mean, share, wilson


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def first(k, n):
    return torch.arange(n) < k


@pytest.mark.parametrize(("k", "n"), [(0, 10), (10, 10), (45, 50), (3, 7), (498, 500)])
def test_a_share_of_samples_that_share_nothing_has_scipys_wilson_interval(k, n):
    expected = binomtest(k, n).proportion_ci(0.95, method="wilson")
    for found in (wilson(k / n, n), share(first(k, n)).interval, share(first(k, n), items=[torch.arange(n)]).interval):
        assert found == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_only_what_is_counted_counts():
    found = share(torch.tensor([1, 1, 0, 1]).bool(), torch.tensor([1, 0, 1, 0]).bool(), [torch.tensor([5, 6, 5, 6])])
    assert (found.value, found.n) == (0.5, 2)
    nothing = share(first(1, 3), first(0, 3), [torch.arange(3)])
    assert nothing == Estimate(None, 0, None) and str(nothing) == "-"


def test_items_of_another_length_are_refused():
    with pytest.raises(ValueError, match=r"expected 4 values each, got \[4, 3\]"):
        share(first(1, 4), items=[torch.arange(3)])


def test_copies_of_a_sample_are_no_evidence():
    right = first(45, 50)
    copied = share(right.repeat(4), items=[torch.arange(50).repeat(4)])
    low, high = wilson(45 / 50, 50)
    assert copied.n == 200 and copied.interval == pytest.approx((low, high), abs=1e-6)
    assert share(right.repeat(4)).interval[0] > low + 0.03


def test_without_any_error_samples_of_one_item_count_once():
    assert share(first(200, 200), items=[torch.arange(200) // 4]).interval == pytest.approx(wilson(1, 50))


def test_two_kinds_of_items_that_go_together_count_once():
    right, item = first(45, 50), torch.arange(50) // 5
    assert share(right, items=[item, 9 - item]) == share(right, items=[item])
    assert share(right, items=[item, torch.arange(50)]) == share(right, items=[item])  # each glyph is new
    assert mean(right.double(), [item, 9 - item]) == mean(right.double(), [item])


def test_the_design_effect_is_the_variance_of_a_cluster_bootstrap():
    item = torch.randint(300, (2000,), generator=generator())
    right = (torch.rand(300, generator=generator(1))[item] + torch.rand(2000, generator=generator(2))) / 2 < 0.4
    times = torch.randint(300, (2000, 300), generator=generator(3))  # 2,000 draws of 300 items
    k, n = torch.zeros(300).index_add(0, item, right.float()), item.bincount(minlength=300)
    spread = (k[times].sum(1) / n[times].sum(1)).std().item()
    low, high = share(right, items=[item]).interval
    assert high - low == pytest.approx(2 * 1.96 * spread, rel=0.05)
    low, high = share(right).interval
    assert high - low < 0.7 * (2 * 1.96 * spread)


def crossed(n, seed):
    """Samples whose share is driven by their recording, their glyph, and themselves; the true share is 0.9."""
    g = generator(seed)
    recording, glyph = torch.randint(100, (n,), generator=g), torch.randint(80, (n,), generator=g)
    driven = torch.randint(3, (n,), generator=g)
    coins = [torch.rand(size, generator=g) < 0.9 for size in (100, 80, n)]
    right = torch.stack([coins[0][recording], coins[1][glyph], coins[2]])[driven, torch.arange(n)]
    return right, recording, glyph


def covers(interval):
    return interval[0] <= 0.9 <= interval[1]


def test_intervals_cover_the_truth_where_samples_share_recordings_and_glyphs():
    runs = [crossed(400, seed) for seed in range(400)]
    both = sum(covers(share(right, items=items).interval) for right, *items in runs) / len(runs)
    none = sum(covers(share(right).interval) for right, *_ in runs) / len(runs)
    assert both >= 0.93 and none < 0.9


def test_a_mean_has_the_interval_of_its_standard_error():
    x = torch.randn(400, generator=generator())
    found = mean(x)
    assert found.value == pytest.approx(x.mean().item(), abs=1e-6)
    assert found.interval[1] - found.value == pytest.approx(1.96 * x.std().item() / 20, rel=1e-3)
    wide = mean(x.repeat(4), [torch.arange(400).repeat(4)]).interval
    assert wide == pytest.approx(found.interval, abs=1e-3)
    assert mean(x[:1]).interval is None and mean(x[:0]).value is None
    assert mean(torch.zeros(9)) == Estimate(0.0, 9, None)  # alike: nothing says how much the next one may differ


def test_an_average_of_dependent_estimates_is_as_wide_as_they_are():
    a, b, nothing = Estimate(0.8, 50, (0.7, 0.9)), Estimate(1.0, 40, (0.9, 1.0)), Estimate(None, 0, None)
    found = average([a, nothing, b])
    assert (found.value, found.n) == (0.9, 40) and found.interval == pytest.approx((0.8, 0.95))
    assert average([nothing]).value is None and average([a, Estimate(0.5, 1, None)]).interval is None


def test_an_average_of_independent_estimates_is_narrower():
    found = average([Estimate(0.8, 50, (0.7, 0.85))] * 4, independent=True)
    assert found.interval == pytest.approx((0.8 - 0.1 / 2, 0.8 + 0.05 / 2))


def test_a_jackknife_finds_the_standard_error_of_a_mean_and_the_bias_of_a_variance():
    x = torch.randn(50, generator=generator()).double()
    found = jackknife(lambda i: x[i].mean().item(), [50], (-1, 1))
    assert found.interval == pytest.approx(mean(x).interval) and found.bias == pytest.approx(0, abs=1e-12)
    variance = jackknife(lambda i: x[i].var(unbiased=False).item(), [50])
    assert variance.bias == pytest.approx(variance.value - x.var().item())  # exactly, for one sample a group
    assert jackknife(lambda i: x.repeat(8)[i].mean().item(), [torch.arange(50).repeat(8)], (-1, 1)).interval == (
        pytest.approx(found.interval)
    )


def test_a_jackknife_leaves_an_item_out_of_every_set():
    rows = []
    items = [torch.tensor([7, 7, 9, 3]), torch.tensor([3, 9, 9, 7, 7]), 3]
    jackknife(lambda *i: rows.append(i) or 0.0, items)
    whole, *parts = [[x.tolist() for x in sets] for sets in rows]
    assert whole == [[0, 1, 2, 3], [0, 1, 2, 3, 4], [0, 1, 2]]
    without_items = [[[2, 3], [0, 1, 2]], [[0, 1, 3], [0, 3, 4]], [[0, 1, 2], [1, 2, 3, 4]]]
    without_own = [[1, 2], [0, 2], [0, 1]]
    expected = [[*x, whole[2]] for x in without_items] + [[*whole[:2], x] for x in without_own]
    assert sorted(parts) == sorted(expected)


def test_a_jackknife_of_too_few_samples_has_no_interval_and_bounds_are_kept():
    assert jackknife(lambda i: 1.0, [2]).interval is None
    assert jackknife(lambda i: 1.0, [9]).interval is None  # no sample makes a difference
    x = torch.tensor([0.0, 1.0, 0.5])
    assert jackknife(lambda i: x[i].mean().item(), [3], (0.2, 0.7)).interval == (0.2, 0.7)


def test_estimates_come_back_from_json_as_they_were():
    found = {"a": [share(first(3, 4)), Estimate(None, 0, None)], "b": Estimate(1.5, 9, (1.0, 2.0), bias=0.5), "n": 4}
    assert estimates(json.loads(json.dumps(found, default=Estimate.record))) == found


@pytest.mark.parametrize("wrong", [(0.5, 4, (0.7, 0.3)), (None, 4, (0.1, 0.3)), (0.5, 0, (0.1, 0.9))])
def test_impossible_estimates_are_refused(wrong):
    with pytest.raises(ValueError, match="expected a value of n >= 1 samples and an interval from low to high"):
        Estimate(*wrong)
