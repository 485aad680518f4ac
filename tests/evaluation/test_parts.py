import pytest
import torch

from codi_minimal.data import parse
from codi_minimal.evaluation.parts import COMPOSITIONS, follows, prompts_for
from codi_minimal.evaluation.sampling import Sampler


@pytest.mark.parametrize("composition", COMPOSITIONS, ids=lambda c: c.title)
def test_an_oracle_follows_every_part_and_a_deaf_model_none(models, sample, composition):
    scene, renders = sample[0][:60], {name: data[:60] for name, data in sample[1].items()}
    prompts = prompts_for(composition, scene, renders, seed=0)
    oracle, deaf = (
        follows(composition, scene, Sampler(model)(prompts, (composition.output,), 60)[composition.output])
        for model in (models.oracle, models.deaf)
    )
    assert oracle["all"].value >= 0.9
    assert deaf["all"].value <= 0.3 and deaf["all"].k <= min(share.k for share in deaf.values())


def test_texts_say_their_part_and_no_more(sample):
    (composition,) = (c for c in COMPOSITIONS if len(c.texts) == 2)
    digits, colours = prompts_for(composition, sample[0][:30], {}, seed=0)["text"]
    words = sample[0][:30].words()
    assert [parse(text) for text in digits] == [{"digit": w["digit"]} for w in words]
    assert [parse(text) for text in colours] == [{"colour": w["colour"]} for w in words]


def test_all_is_the_share_where_each_is_right():
    composition = COMPOSITIONS[0]
    assert composition.title == "audio: digit + text: colour → I"
    scene = type("Scene", (), {"digit": torch.tensor([1, 2]), "colour": torch.tensor([0, 0])})
    found = follows(composition, scene, torch.zeros(2, 3, 32, 32))  # dark: nothing can be read
    assert found["all"].k == found["digit"].k == found["colour"].k == 0 and found["all"].n == 2
