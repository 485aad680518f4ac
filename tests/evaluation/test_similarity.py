import pytest
import torch

from codi_minimal.evaluation.similarity import similarity


def test_one_scene_is_near_itself_and_scenes_apart_are_not(models, sample):
    renders = {name: data[:120] for name, data in sample[1].items() if name != "text"}
    near = similarity(models.oracle, renders, batch=50)
    assert set(near) == {"cosine image–audio", "cosine image–video", "cosine audio–video"}
    assert all(cosine.value > 0.9 for cosine in near.values())
    apart = similarity(models.oracle, {"image": renders["image"], "audio": renders["audio"].roll(1, 0)})
    assert apart["cosine image–audio"].value == pytest.approx(0.1, abs=0.1)  # one digit of ten


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
