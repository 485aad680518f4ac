"""Reconstructions, distances to real renders, and variety."""

import math

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from codi_minimal.evaluation.statistics import jackknife

from codi_minimal.evaluation.quality import (  # isort: skip
    fidelity, frechet_distance, frechet_estimate, mel_error, normalised_entropy, psnr, spread_ratio,
)  # fmt: skip


def test_known_errors_have_known_figures():
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert psnr(x, x + 0.1) == pytest.approx(20, abs=1e-3)
    tone = 0.05 * torch.randn(2, 8192, generator=torch.Generator().manual_seed(0))
    assert (mel_error(tone, tone) == 0).all()
    assert mel_error(tone, tone / 2).mean().item() == pytest.approx(20 * math.log10(2), rel=0.05)


def test_what_was_rebuilt_is_measured_in_its_own_unit_with_an_interval(sample):
    scene, renders = sample[0][:100], {name: data[:100] for name, data in sample[1].items()}
    noise = torch.linspace(0, 0.1, 100).reshape(-1, 1)
    rebuilt = {"audio": renders["audio"] * (1 + 10 * noise), "text": [*renders["text"][:90], *["seven"] * 10]}
    rebuilt |= {
        name: renders[name] + noise.reshape(100, *[1] * (renders[name].ndim - 1)) for name in ("image", "video")
    }
    found = fidelity(renders, rebuilt, scene)
    assert found["text"]["exact captions"].value == pytest.approx(0.9, abs=0.02)
    for name, error in {"image": psnr, "video": psnr, "audio": lambda x, y: mel_error(x, y).mean().item()}.items():
        ((unit, estimate),) = found[name].items()
        assert estimate.value == pytest.approx(error(renders[name], rebuilt[name]), rel=1e-5), unit
        assert estimate.interval[0] < estimate.value < estimate.interval[1] and estimate.n == 100
    assert fidelity({"text": ["a"], "image": 0}, {"text": ["a"]})["text"]["exact captions"].value == 1


def test_renders_of_one_glyph_are_no_evidence(sample):
    scene, x = sample[0][:50], sample[1]["image"][:50]
    y = x + torch.linspace(0, 0.1, 50).reshape(-1, 1, 1, 1)
    once = fidelity({"image": x}, {"image": y}, scene)["image"]["PSNR, dB"]
    twice = fidelity({"image": x.repeat(4, 1, 1, 1)}, {"image": y.repeat(4, 1, 1, 1)}, scene[[*range(50)] * 4])
    low, high = twice["image"]["PSNR, dB"].interval
    assert high - low == pytest.approx(once.interval[1] - once.interval[0], rel=0.1)


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
