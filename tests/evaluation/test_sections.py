"""Every section gives its intervals the recordings and glyphs that its prompts, or its real renders, share."""

from dataclasses import replace

import pytest
import torch

from codi_minimal.data.world import World
from codi_minimal.evaluation.agreement import QUESTIONS
from codi_minimal.evaluation.coherence import MODALITIES
from codi_minimal.evaluation.generation import BatchedModel
from codi_minimal.evaluation.readers import read
from codi_minimal.evaluation.sections import (
    measure_agreement,
    measure_ceilings,
    measure_parts,
    measure_row,
    measure_single,
    real_renders,
)
from codi_minimal.evaluation.statistics import wilson

N = 60


@pytest.fixture(scope="module")
def few(source):
    """A world of one recording of each digit, and a new glyph for almost every scene."""
    first = torch.tensor([(source.spoken == digit).nonzero()[0, 0] for digit in range(10)])
    return World(
        replace(source, recordings=source.recordings[first], lengths=source.lengths[first], spoken=source.spoken[first])
    )


@pytest.fixture(scope="module")
def real(models, few):
    return real_renders(models.oracle, few, 200, seed=0)


def is_wide(estimate):
    """Whether the interval is that of fewer samples than there are."""
    width = estimate.interval[1] - estimate.interval[0]
    alone = wilson(estimate.value, estimate.n)
    return width > 1.3 * (alone[1] - alone[0])


@pytest.mark.slow
def test_the_cells_of_voices_are_clustered_and_those_of_captions_and_pictures_are_not(models, few, real):
    model = BatchedModel(models.oracle)
    cells = measure_single(model, few, real, N)["cells"]
    wide = {cell for cell, scores in cells.items() for shares in scores.values() if is_wide(shares["digit"])}
    assert wide == {cell for cell in cells if cell[0] == "A"}
    for names, expected in {("text",): False, ("image",): False, ("text", "audio"): True, ("audio",): True}.items():
        row = measure_row(model, few, N, names, {})
        assert {is_wide(shares["digit"]) for scores in row.values() for shares in scores.values()} == {expected}


def test_of_real_renders_only_recordings_are_clusters(models, few, real):
    found = measure_ceilings(real)
    for scores in found["ceilings"].values():
        assert {name for name in MODALITIES if is_wide(scores[name]["digit"])} == {"audio"}
    errors = {name: row for name, row in found["fidelity"].items() if name in ("audio", "video")}
    assert all(next(iter(row.values())).n == 200 for row in errors.values())


@pytest.mark.slow
@pytest.mark.usefixtures("data_dir")
def test_compositions_and_answers_are_clustered_by_what_they_show(models, few, real):
    model = BatchedModel(models.oracle)
    for title, found in measure_parts(model, few, N).items():
        assert is_wide(found["made"]["all"]) == title.startswith("audio") and not is_wide(found["real"]["all"])
    result, joint = measure_agreement(model, real, N, 20)
    for question in QUESTIONS:  # captions give the digits in turn
        in_turn = (
            read(question.outputs[-1], joint[question.title][question.outputs[-1]])["digit"] == torch.arange(N) % 10
        )
        assert (in_turn.float().mean() > 0.5) == question.digit_said
    for title, found in result["answers"].items():
        assert is_wide(found["real"]["all"]) == ("audio" in title)
        assert not is_wide(found["joint"]["all"]) and not is_wide(found["apart"]["all"])


def test_distances_state_their_bias(models, source):
    world = World(source)
    found = measure_single(BatchedModel(models.oracle), world, real_renders(models.oracle, world, 100, 0), 100)
    for name, row in found["matched"].items():
        assert row["real"].value == row["reconstruction"].value < found["quality"][name]["real"].value
    # a hundred samples leave it open for pictures of the built-in sample alone
    matched, drawn = (sum(row["generated"].value for row in found[key].values()) for key in ("matched", "quality"))
    assert matched < drawn
    for row in found["quality"].values():
        assert row["real"] == row["reconstruction"] and row["generated"].n == 100  # the autoencoders change nothing
        assert row["real"].bias == pytest.approx(row["real"].value, rel=0.5)
        assert row["generated"].bias > 0.5 * row["generated"].value  # the oracle renders


def test_renders_like_a_scene_have_its_attributes_and_other_hands_and_voices(models, source):
    world = World(source)
    scene, _ = world.sample(60, torch.Generator().manual_seed(5))
    sets = real_renders(models.oracle, world, 60, 0, scene)
    for _, found in sets.values():
        for name in ("digit", "colour", "motion", "onset"):
            assert torch.equal(getattr(found, name), getattr(scene, name)), name
        assert (found.glyph != scene.glyph).float().mean() > 0.5
    assert not torch.equal(sets["real"][1].glyph, sets["other"][1].glyph)
