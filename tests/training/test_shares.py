"""What training may draw: nothing of the validation share, and of each pairing only its share, whatever the seed."""

from collections import defaultdict
from dataclasses import replace
from itertools import combinations

import pytest
import torch

from codi_minimal.codi import CoDi
from codi_minimal.config import Stage, preset
from codi_minimal.data import PAIRINGS, VOCABULARY, Pairs, load, pairs, world
from codi_minimal.evaluation.train_judges import train_classifiers
from codi_minimal.training.run import Run
from codi_minimal.training.stages import STAGES, train, train_further


@pytest.fixture(autouse=True)
def sample_without_pictures(monkeypatch):
    monkeypatch.delenv("CODI_DATA", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for name, functions in list(STAGES.items()):
        monkeypatch.setitem(STAGES, name, replace(functions, show=lambda *_: None))


def tiny(split_seed, **changes):
    config = preset("tiny")
    return replace(config, train=replace(config.train, split_seed=split_seed, **changes))


def rows(source, scene=None):
    """The glyphs and recordings themselves, of a scene or all."""
    glyphs, recordings = source.glyphs, source.recordings[:, :2000]
    if scene is not None:
        glyphs, recordings = glyphs[scene.glyph[scene.glyph >= 0]], recordings[scene.recording[scene.recording >= 0]]
    return {row.numpy().tobytes() for part in (glyphs, recordings) for row in part}


@pytest.mark.parametrize("split_seed", [0, 3])
def test_two_seeds_never_mix_the_shares_of_pairings(tmp_path, monkeypatch, split_seed):
    CoDi(tiny(split_seed), VOCABULARY).save_pretrained(tmp_path / "model")
    seen, draw = defaultdict(set), Pairs.draw

    def watched(self, n, generator):
        drawn = draw(self, n, generator)
        seen[seed, self.pairing] |= rows(self._source, drawn._scene)
        return drawn

    monkeypatch.setattr(Pairs, "draw", watched)
    for seed in (0, 1):
        train_further(["environment"], tmp_path / "model", out=tmp_path / f"{seed}", seed=seed, steps=1, progress=False)
    parts = {pairing: (seen[0, pairing], seen[1, pairing]) for pairing in PAIRINGS}
    assert all(one != other for one, other in parts.values())  # samples of their own, from the same shares
    for (one, other), (third, fourth) in combinations(parts.values(), 2):
        assert not (one | other) & (third | fourth)
    assert not set().union(*seen.values()) & rows(load(split="validation", split_seed=split_seed))


@pytest.mark.parametrize("split_seed", [0, 3])
def test_neither_autoencoders_nor_judges_draw_a_validation_sample(tmp_path, monkeypatch, split_seed):
    seen, draw = set(), pairs.draw

    def watched(source, *args):
        scene = draw(source, *args)
        seen.update(rows(source, scene))
        return scene

    monkeypatch.setattr(pairs, "draw", watched)
    monkeypatch.setattr(world, "draw", watched)
    stages = {name: Stage(40, 16) for name in ("autoencoder-image", "autoencoder-audio")}
    train(tiny(split_seed, stages=stages), out=tmp_path, stages=list(stages), progress=False)
    drawn = len(seen)
    train_classifiers(load(split_seed=split_seed), tmp_path / "judges", steps=2)
    assert 300 < drawn < len(seen)
    assert not seen & (rows(load(split="validation", split_seed=split_seed)) | rows(load(split="test")))


@pytest.mark.parametrize(("split", "split_seed"), [("validation", 0), ("test", 0), ("train", 1)])
def test_no_stage_trains_on_another_split(tmp_path, split, split_seed):
    model = CoDi(tiny(0), VOCABULARY)
    run = Run(model, load(split=split, split_seed=split_seed), tmp_path, progress=False)
    with pytest.raises(ValueError, match=f"the split train with split_seed 0, got {split} with {split_seed}"):
        run.fit("environment", torch.nn.ModuleList(), lambda *_: pytest.fail("trained"))
