import pytest
import torch

from codi_minimal.data import parse
from codi_minimal.evaluation.agreement import QUESTIONS, agreement, answer, ask, chance, prompts_of, similarity
from codi_minimal.evaluation.generation import BatchedModel


def test_chance_is_that_of_independent_uniform_draws():
    digit, colour, onset, motion, *pairs = (chance(question) for question in QUESTIONS)
    assert digit == {"all": pytest.approx(1e-3)}
    assert colour == {"all": 1 / 8}
    assert onset == {"all": 1 / 4, "within one frame": 0.625}
    assert motion == {"among those that say it": pytest.approx(1 / 6)}
    assert pairs == 6 * [{"all": 1 / 10}]


@pytest.mark.usefixtures("data_dir")
@pytest.mark.parametrize("question", QUESTIONS, ids=lambda q: q.title)
def test_a_shared_scene_agrees_and_scenes_apart_are_at_chance(models, question):
    model = BatchedModel(models.oracle, seed=1)
    made, alone = ask(question, model, 60), ask(question, model, 60, joint=False)
    assert set(made) == set(alone) == set(question.outputs)
    joint, apart = answer(question, made), answer(question, alone)
    for what, expected in chance(question).items():
        assert joint[what].value >= 0.9
        low, high = apart[what].interval
        assert low <= expected <= high, (what, apart[what])


def test_captions_for_it_say_a_digit_and_no_more():
    captions = prompts_of(True, 30, seed=0)["text"]
    assert [list(parse(caption)) for caption in captions] == [["digit"]] * 30
    assert len({parse(caption)["digit"] for caption in captions}) == 10


def test_who_says_nothing_disagrees_and_is_also_counted_apart():
    readings = {
        "text": {"digit": torch.tensor([7, -1, -1, 3])},
        "image": {"digit": torch.tensor([7, 7, -1, 4])},
    }
    found = agreement("digit", readings)
    assert (found["all"].value, found["all"].n) == (1 / 4, 4)
    assert (found["say it"].value, found["say it"].n) == (2 / 4, 4)
    assert (found["among those that say it"].value, found["among those that say it"].n) == (1 / 2, 2)


def test_onsets_have_an_error_in_frames():
    readings = {
        "audio": {"onset": torch.tensor([1, 2, 4, -1])},
        "video": {"onset": torch.tensor([1, 3, 1, -1])},
    }
    found = agreement("onset", readings)
    assert (found["all"].value, found["within one frame"].value, found["all"].n) == (1 / 4, 2 / 4, 4)
    assert (found["mean error"].value, found["mean error"].n) == (pytest.approx(4 / 3), 3)


def test_real_renders_of_one_recording_are_one_cluster():
    onset = torch.tensor([1, 2, 3, 4]).repeat_interleave(10)
    readings = {"audio": {"onset": onset}, "video": {"onset": torch.where(onset == 4, 1, onset)}}
    alone, clustered = agreement("onset", readings), agreement("onset", readings, [onset])
    assert alone.keys() == clustered.keys()
    for what, figure in clustered.items():
        low, high = alone[what].interval
        assert figure.value == alone[what].value and figure.interval[0] < low and figure.interval[1] > high, what


@pytest.mark.usefixtures("data_dir")
def test_one_scene_is_near_itself_and_scenes_apart_are_not(models, sample):
    renders = {name: data[:120] for name, data in sample[1].items() if name != "text"}
    near = similarity(models.oracle, renders)
    assert set(near) == {"cosine image–audio", "cosine image–video", "cosine audio–video"}
    assert all(cosine.value > 0.9 for cosine in near.values())
    apart = similarity(models.oracle, {"image": renders["image"], "audio": renders["audio"].roll(1, 0)})
    assert apart["cosine image–audio"].value == pytest.approx(0.1, abs=0.1)  # one digit of ten


@pytest.mark.usefixtures("data_dir")
def test_what_no_encoder_takes_is_near_nothing(models, sample):
    image = sample[1]["image"][:4].clone()
    image[2] = float("nan")
    digits = [words["digit"] for words in sample[0][:4].words()]
    near = similarity(models.oracle, {"image": image, "text": [*digits[:3], " "]})
    assert near["cosine image–text"].value == pytest.approx(0.5)
    assert similarity(models.oracle, {"image": image[2:3], "text": [""]})["cosine image–text"].value == 0
    copies = {"image": image.repeat(9, 1, 1, 1), "text": [*digits[:3], " "] * 9}
    items = ([torch.arange(4).repeat(9)], [])
    wide, narrow = (similarity(models.oracle, copies, x)["cosine image–text"] for x in items)
    assert wide.value == narrow.value and wide.interval[0] < narrow.interval[0]
