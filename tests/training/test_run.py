"""A run looks at a stage before its first step, and then at steps that are spaced by logarithm."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from codi_minimal.codi import CoDi
from codi_minimal.config import preset
from codi_minimal.data import load
from codi_minimal.training.run import Run, log_spaced


@pytest.mark.parametrize(
    ("steps", "n", "expected"), [(500, 4, [18, 55, 166, 500]), (9, 2, [3, 9]), (5, 4, [1, 5]), (1, 3, [1])]
)
def test_each_look_is_at_a_third_of_the_next_and_the_last_at_the_end(steps, n, expected):
    assert log_spaced(steps, n) == expected


@pytest.mark.parametrize(("steps", "n"), [(0, 4), (5, 0), (-3, 2)])
def test_numbers_below_one_are_refused(steps, n):
    with pytest.raises(ValueError, match="expected steps >= 1 and n >= 1; got"):
        log_spaced(steps, n)


def test_a_stage_is_watched_before_and_at_these_steps(tmp_path):
    config = preset("tiny")
    stages = {"denoiser-image": replace(config.train.stages["denoiser-image"], steps=9)}
    model = CoDi(replace(config, train=replace(config.train, stages=stages)), ["seven"])
    net, looks = nn.Linear(2, 1), []
    run = Run(model, load(None, hub=False), tmp_path, progress=False, watch=lambda *look: looks.append(look), looks=2)
    run.fit("denoiser-image", net, lambda i, g: {"loss": net(torch.ones(1, 2)).square().sum()})
    assert looks == [("denoiser-image", done) for done in (0, 3, 9)]


@pytest.fixture(autouse=True)
def built_in_sample(monkeypatch):
    monkeypatch.delenv("CODI_DATA", raising=False)
