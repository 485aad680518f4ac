"""Lessons: what is new in the model and what is the shipped one's, and what one hands to the next."""

import pytest
import torch

from codi_minimal import CoDi
from codi_minimal.course import SCALES, begin, finish
from codi_minimal.course.lesson import parts

PROMPTS = ["modalities.text.prompt.", "modalities.image.prompt."]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CODI_DATA", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="module")
def shipped():
    return CoDi.from_pretrained().state_dict()


@pytest.mark.parametrize(
    ("stage", "new"),
    [
        ("autoencoder-audio", ["modalities.audio.autoencoder."]),
        ("prompts-text-image", PROMPTS),
        ("prompts-text-audio", ["modalities.audio.prompt."]),
        ("denoiser-video", ["modalities.video.denoiser."]),
        ("beside-video", ["modalities.video.denoiser.mid", "modalities.video.denoiser.environment_attention."]),
        ("joint", [f"modalities.{m}.{what}" for m in ("text", "image") for what in ("environment.", "denoiser.mid")]),
    ],
)
def test_what_a_lesson_trains_is_new_and_the_rest_is_the_shipped_checkpoint(stage, new, shipped):
    model = begin("07", "tiny", {stage: 100}).model
    state = model.state_dict()
    changed = {name for name in state if not torch.equal(state[name].cpu(), shipped[name])}
    assert changed and changed <= set(parts(model, stage))
    assert all(any(name.startswith(prefix) for name in changed) for prefix in new)


def test_a_scale_sets_steps_batches_and_samples(shipped):
    stages = {name: begin("00", name, {"denoiser-image": 900}).config.train for name in SCALES}
    steps = {name: train.stages["denoiser-image"].steps for name, train in stages.items()}
    assert steps == {"tiny": 4, "small": 900, "base": 4500}
    assert stages["tiny"].stages["denoiser-image"].batch < stages["small"].stages["denoiser-image"].batch
    assert stages["small"].stages["joint"] == CoDi.from_pretrained().config.train.stages["joint"]


def test_what_is_finished_can_be_taken_up_by_a_later_lesson():
    run = begin("03", "tiny", {"autoencoder-image": 100}, seed=5)
    finish(run, "autoencoder-image")
    later = begin("05", "tiny", {"denoiser-image": 100}, yours=("autoencoder-image",))
    for name, x in parts(run.model, "autoencoder-image").items():
        assert torch.equal(later.model.state_dict()[name], x)


def test_a_lesson_always_trains_anew():
    folder = begin("03", "tiny").folder
    (folder / "autoencoder-image.safetensors").write_bytes(b"of another day")
    assert not list(begin("03", "tiny").folder.glob("*"))


def test_what_is_unknown_or_missing_is_named():
    with pytest.raises(ValueError, match="expected a scale out of tiny, small, base, got 'huge'"):
        begin("01", "huge")
    with pytest.raises(ValueError, match="expected stages out of .*got \\['dance'\\]"):
        begin("01", "tiny", {"dance": 10})
    with pytest.raises(ValueError, match="does not exist"):
        begin("05", "tiny", yours=("autoencoder-image",))
