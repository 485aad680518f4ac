"""The experiment on the modality gap, at the tiny scale: what is trained, what is left alone, and what is written."""

import copy
import json

import pytest
import torch

from codi_minimal.experiments.gap import REGIMES, gap, uncentred
from tests.models import random_codi


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
    assert set(report["coherence"]) == {*REGIMES, "text prompts alone, not centred"}


def test_the_files_say_what_was_measured(result):
    _, _, out, report = result
    assert json.loads((out / "gap.json").read_text()) == json.loads(json.dumps(report))
    page = (out / "gap.md").read_text()
    assert report["command"] in page and all(regime in page for regime in REGIMES)
    for scores in report["coherence"].values():
        assert scores["audio"]["digit"]["n"] == scores["video"]["colour"]["n"] == 6


def test_without_their_shift_the_encoders_are_as_they_were_and_get_it_back():
    model = copy.deepcopy(random_codi())
    prompt = model.modalities["audio"].prompt
    prompt.shift.fill_(0.1)
    x = torch.randn(2, 8192).clamp(-1, 1)
    shifted = prompt(x)
    with uncentred(model):
        assert not torch.allclose(prompt(x), shifted)
    torch.testing.assert_close(prompt(x), shifted)
