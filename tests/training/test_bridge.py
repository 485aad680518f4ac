"""Bridging alignment: what C_m sees in training."""

from dataclasses import replace

import pytest
import torch

from codi_minimal import CoDi
from codi_minimal.config import Stage, preset
from codi_minimal.data import VOCABULARY, load
from codi_minimal.ours.other_voices import OtherVoices
from codi_minimal.recipe import Recipe
from codi_minimal.training.prompts import train_bridge
from codi_minimal.training.run import Run

LEVEL = 0.25


@pytest.fixture
def run(tmp_path, data_dir, request):
    """Three steps of a bridge on audio; `request.param`: changes to `TrainConfig`."""
    config = preset("tiny")
    changes = {"stages": {"prompts-text-audio": Stage(3, 16)}, **getattr(request, "param", {})}
    model = CoDi(replace(config, train=replace(config.train, **changes)), VOCABULARY)
    return Run(model, load(data_dir), tmp_path, progress=False)


def heard(run, **how):
    """All recordings that C_audio has seen in training."""
    encoder, seen = run.model.modalities["audio"].prompt, []
    hook = encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
    train_bridge(run, "audio", **how)
    hook.remove()
    return torch.cat(seen)


def test_additions_change_what_an_encoder_sees(run, monkeypatch):
    run.model.recipe = Recipe(additions=(OtherVoices(share=1.0),))
    monkeypatch.setattr(OtherVoices, "recorded", lambda self, waves, generator: torch.full_like(waves, LEVEL))
    assert (heard(run) == LEVEL).all()


def test_the_paper_changes_nothing(run):
    run.model.recipe = Recipe()
    waves = heard(run)
    # trimmed recordings of the data, at peak .8, in the silence of the world
    assert torch.allclose(waves.abs().amax(1), torch.tensor(0.8), atol=0.02) and (waves[:, :900].abs() < 0.02).all()


def levels():
    """Two further recordings of each digit, of one level."""
    return [torch.full((500,), LEVEL)] * 20, [*range(10)] * 2


@pytest.mark.parametrize("run", [{"synthetic_voices": True}, {"synthetic_voices": False}], indirect=True)
def test_further_voices_are_heard_only_if_the_config_says_so(run):
    run.model.recipe = Recipe()
    waves = heard(run, voices=levels)
    synthetic = waves.abs().amax(1) < LEVEL + 0.05
    assert synthetic.any() == run.config.train.synthetic_voices and not synthetic.all()
