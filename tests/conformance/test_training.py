"""3-training.json is what the package's losses give, and the NumPy port's losses agree with it, slopes too."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from conformance import check, make_training
from conformance.numpy_port import kit, losses
from conformance.numpy_port.losses import Losses

KIT = json.loads(make_training.FILE.read_text(encoding="utf-8"))
CASES = {case["case"]: case for case in KIT["cases"]}


def verdicts(titles=()):
    found = kit.training(titles)
    return {title: check.verdict_of_training(case, found.get(title, {})) for title, case in CASES.items()}


def test_losses_and_slopes_are_those_of_numpy():
    assert set(verdicts().values()) == {""}


def plain_infonce(x, y, scale, positives=None):
    return KEPT.clip_loss(x, y, scale)


def one_sided(x, y, scale, positives=None):
    match = np.eye(len(x)) if positives is None else np.array(positives, float)
    return -(match / match.sum(1, keepdims=True) * losses.log_softmax(scale * x @ y.T)).sum(1).mean()


def noise_for_v(self, z0, t, eps):
    return KEPT.noised(self, z0, t, eps)[0], eps


def joined_and_scaled_apart(self, pair, positives=None, **x):
    a, b = (losses.normalized(self.tokens(m, x[f"z0.{m}"], x[f"t.{m}"], x[f"eps.{m}"])) for m in pair)
    n = min(a.shape[1], b.shape[1])
    return {"loss": KEPT.clip_loss(*(y[:, :n].reshape(len(y), -1) for y in (a, b)), self.scale(), positives)}


def without_prompt(self, modality, z0, eps, t, cond, env=None, present=None):
    return KEPT.L_D(self, modality, z0, eps, t, 0 * cond, env, present)


def everybody_is_there(self, pair, lam, cond, t, clock_alone, nothing, positives=None, **x):
    return KEPT.joint(self, pair, lam, cond, t, 4 * [False], 4 * [False], positives, **x)


KEPT = SimpleNamespace(clip_loss=losses.clip_loss, noised=Losses.noised, L_D=Losses.L_D, joint=Losses.joint)
WRONG = {  # title → (where, what, instead, the case that must fail)
    "captions that mean the same are negatives": (losses, "clip_loss", plain_infonce, "bridge of text and audio"),
    "one direction of the contrastive loss": (losses, "clip_loss", one_sided, "bridge of text and video"),
    "noise instead of v": (Losses, "noised", noise_for_v, "L_D of image"),
    "no hidden words": (losses.tokenizer, "UNK", -1, "−ELBO of text"),
    "tokens scaled one by one": (Losses, "L_Con", joined_and_scaled_apart, "L_Con of text and image"),
    "prompts left out": (Losses, "L_D", without_prompt, "L_D of text"),
    "no gaps in the environment": (Losses, "joint", everybody_is_there, "L_Cross and L_Con of audio and video"),
}


@pytest.mark.parametrize("title", WRONG)
def test_a_wrong_guess_fails(monkeypatch, title):
    where, what, instead, case = WRONG[title]
    monkeypatch.setattr(where, what, instead)
    assert verdicts([case])[case] not in ("", "-")


def test_a_wrong_gradient_is_named():
    case = CASES["L_D of image"]
    right = {"gradient": dict(case["gradient"])}
    assert check.verdict_of_training(case, right) == ""
    name = max(right["gradient"], key=lambda name: right["gradient"][name][0])
    norm, slope = right["gradient"][name]
    for wrong in ([norm * 1.001, slope], [norm, -slope], [float("nan"), slope], [norm, float("nan")]):
        assert name in check.verdict_of_training(case, {"gradient": {name: wrong}})
    assert "frozen" in check.verdict_of_training(case, {"gradient": {"frozen": [norm, slope]}})
    assert "slope" in check.verdict_of_training(case, {"slope": -case["slope"]})
    assert "there is no slop" in check.verdict_of_training(case, {"slop": case["slope"]})
    assert "there is no kl" in check.verdict_of_training(case, {"terms": {"kl": 1.0}})
    assert check.verdict_of_training(case, {}) == "-"


def test_a_small_gradient_may_not_be_zero():
    case = CASES["L_Cross and L_Con of audio and video"]
    steepest = max(norm for norm, _ in case["gradient"].values())
    small = [name for name, (norm, _) in case["gradient"].items() if 1e-6 * steepest < norm < 1e-4 * steepest]
    assert small
    for name in small:
        assert name in check.verdict_of_training(case, {"gradient": {name: [0.0, 0.0]}})


def test_the_file_is_what_the_package_gives(tmp_path):
    make_training.make(tmp_path / "again.json")
    again = json.loads((tmp_path / "again.json").read_text(encoding="utf-8"))
    assert {key: x for key, x in again.items() if key != "cases"} == {
        key: x for key, x in KIT.items() if key != "cases"
    }
    for case in again["cases"]:
        kept = CASES[case["case"]]
        assert [case[key] for key in ("op", "options", "inputs")] == [kept[key] for key in ("op", "options", "inputs")]
        assert case["terms"] == pytest.approx(kept["terms"], rel=1e-9), "run conformance.make_training"
        assert case["gradient"].keys() == kept["gradient"].keys()
        steepest = max(norm for norm, _ in kept["gradient"].values())
        for name, numbers_of in case["gradient"].items():
            assert numbers_of == pytest.approx(kept["gradient"][name], rel=1e-7, abs=1e-7 * steepest), name
