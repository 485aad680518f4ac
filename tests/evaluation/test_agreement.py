import pytest
import torch

from codi_minimal.data import parse
from codi_minimal.evaluation.agreement import QUESTIONS, agreement, answer, ask, chance, digit_captions
from codi_minimal.evaluation.sampling import Sampler


def test_chance_is_that_of_independent_uniform_draws():
    digit, colour, onset, motion = (chance(question) for question in QUESTIONS)
    assert digit == {"all": pytest.approx(1e-3)}
    assert colour == {"all": 1 / 8}
    assert onset == {"all": 1 / 4, "within one frame": 0.625}
    assert motion == {"among those that say it": pytest.approx(1 / 6)}


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda q: q.attribute)
def test_a_shared_scene_agrees_and_scenes_apart_are_at_chance(models, question):
    sampler = Sampler(models.oracle, seed=1)
    made, alone = (ask(question, sampler, 60, joint=joint) for joint in (True, False))
    assert set(made) == set(alone) == set(question.outputs)
    joint, apart = answer(question, made), answer(question, alone)
    for what, expected in chance(question).items():
        assert joint[what].value >= 0.9
        low, high = apart[what].interval
        assert low <= expected <= high, (what, apart[what])


def test_captions_for_it_say_a_digit_and_no_more():
    captions = digit_captions(30, seed=0)
    assert [list(parse(caption)) for caption in captions] == [["digit"]] * 30
    assert len({parse(caption)["digit"] for caption in captions}) == 10


def test_who_says_nothing_disagrees_and_is_also_counted_apart():
    readings = {
        "text": {"digit": torch.tensor([7, -1, -1, 3])},
        "image": {"digit": torch.tensor([7, 7, -1, 4])},
    }
    found = agreement("digit", readings, {"text": True, "image": False})
    assert (found["all"].k, found["all"].n) == (1, 4)
    assert (found["say it"].k, found["say it"].n) == (2, 4)
    assert (found["among those that say it"].k, found["among those that say it"].n) == (1, 2)


def test_onsets_have_an_error_in_frames():
    readings = {
        "audio": {"onset": torch.tensor([1, 2, 4, -1])},
        "video": {"onset": torch.tensor([1, 3, 1, -1])},
    }
    found = agreement("onset", readings, dict.fromkeys(readings, False))
    assert (found["all"].k, found["within one frame"].k, found["all"].n) == (1, 2, 4)
    assert found["mean error"] == pytest.approx(4 / 3)
