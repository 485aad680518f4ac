"""The experiment on the modality gap, at the tiny scale: what is trained, what is left alone, and what is written."""

import json

import pytest
import torch

from codi_minimal.data import load
from codi_minimal.experiments.gap import REGIMES, follow, gap, modality_gap
from codi_minimal.recipes import SHIPPED
from tests.models import random_codi

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("CODI_DATA", raising=False)
        patch.setenv("HF_HUB_OFFLINE", "1")
        model, out = random_codi(), tmp_path_factory.mktemp("gap")
        before = {name: p.clone() for name, p in model.state_dict().items()}
        return model, before, out, gap(model, None, out, steps=6, samples=6, progress=False)


def test_the_model_is_left_as_it_is_and_every_regime_trains_its_own(result):
    model, before, out, report = result
    assert all(torch.equal(p, before[name]) for name, p in model.state_dict().items())
    weights = list(out.glob("*/*/denoiser-image.safetensors"))
    assert len(weights) == len(REGIMES) == len({path.read_bytes() for path in weights})
    caches = [path.read_bytes() for path in out.rglob("cache-text-image.safetensors")]
    assert len(caches) == 1 + len(REGIMES) and len(set(caches)) == 1  # the same pairs for all
    assert set(report["coherence"]) == set(REGIMES)


def test_the_files_say_what_was_measured(result):
    _, _, out, report = result
    assert json.loads((out / "gap.json").read_text()) == json.loads(json.dumps(report))
    page = (out / "gap.md").read_text()
    assert report["command"] in page and all(regime in page for regime in REGIMES)
    for scores in report["coherence"].values():
        assert scores["audio"]["digit"]["n"] == scores["video"]["colour"]["n"] == 6


def test_prompts_act_through_the_condition_alone_and_as_their_encoders_give_them(monkeypatch):
    asked = []
    found = [("", {}, {"image": {}})]
    monkeypatch.setattr("codi_minimal.experiments.gap.measure_cells", lambda model, *_: asked.append(model) or found)
    follow(random_codi(), load(hub=False), 4, 0)
    plain = SHIPPED.without("prompt_clocks")
    assert [batched.options for batched in asked] == [{"recipe": plain}] * 4


def test_modality_gap_of_known_clouds():
    x = torch.nn.functional.normalize(torch.randn(50, 8, generator=torch.Generator().manual_seed(0)), dim=-1)
    assert modality_gap(x, x) == pytest.approx((0, 1), abs=1e-6)
    assert modality_gap(torch.eye(2)[[0, 0, 0]], torch.eye(2)[[1, 1, 1]]) == pytest.approx((2**0.5, 0))
    # shuffling breaks the pairs and leaves the centroids
    distance, cosine = modality_gap(x, x.roll(1, 0))
    assert distance == pytest.approx(0, abs=1e-6) and cosine < 0.5
    for other in (2 * x, x[:3]):
        with pytest.raises(ValueError, match="unit norm"):
            modality_gap(x, other)
