import pytest
import torch

from codi_minimal.data import ATTRIBUTES_OF, MOTIONS
from codi_minimal.evaluation.readers import READERS, read, well_formed


@pytest.mark.usefixtures("data_dir")
@pytest.mark.parametrize("name", ["image", "audio", "video"])
def test_real_renders_are_read_as_the_scenes_they_show(sample, name):
    scene, renders = sample
    shown = read(name, renders[name])
    assert tuple(shown) == ATTRIBUTES_OF[name]
    for attribute, values in shown.items():
        assert (values == getattr(scene, attribute)).float().mean() >= 0.97, attribute


def test_captions_say_what_they_say():
    shown = read("text", ["a red seven sliding left", "something green", "left a red"])
    assert shown["digit"].tolist() == [7, -1, -1]
    assert shown["colour"].tolist() == [0, 1, -1]
    assert shown["motion"].tolist() == [MOTIONS.index("left"), -1, -1]
    assert well_formed(["a red seven sliding left", "left a red", ""]).tolist() == [True, False, False]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0])
def test_nothing_can_be_read_from_garbage(sample, value):
    for name in ("image", "audio", "video"):
        data = sample[1][name][:3].clone()
        data[1] = value
        shown = read(name, data)
        assert all(v[1] == -1 for v in shown.values()) and (shown["digit"][[0, 2]] >= 0).all()


def test_an_unknown_modality_is_refused():
    with pytest.raises(ValueError, match="'smell'"):
        read("smell", torch.zeros(1))
    assert set(READERS) == set(ATTRIBUTES_OF)
