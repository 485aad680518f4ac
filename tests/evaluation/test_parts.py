from dataclasses import replace

import pytest

from codi_minimal.data import ATTRIBUTES_OF, parse
from codi_minimal.evaluation.generation import BatchedModel
from codi_minimal.evaluation.parts import COMPOSITIONS, follows, prompts_for


@pytest.mark.usefixtures("data_dir")
@pytest.mark.parametrize("composition", COMPOSITIONS, ids=lambda c: c.title)
def test_an_oracle_follows_every_part_and_a_deaf_model_none(models, sample, composition):
    scene, renders = sample[0][:60], {name: data[:60] for name, data in sample[1].items()}
    prompts = prompts_for(composition, scene, renders, seed=0)
    oracle, deaf = (
        follows(composition, scene, BatchedModel(model)(prompts, (composition.output,), 60)[composition.output])
        for model in (models.oracle, models.deaf)
    )
    assert oracle["all"].value >= 0.9
    assert deaf["all"].value <= 0.3 and deaf["all"].value == min(share.value for share in deaf.values())


def test_texts_say_their_part_and_no_more(sample):
    (composition,) = (c for c in COMPOSITIONS if [name for name, _ in c.prompts] == ["text", "text"])
    digits, colours = prompts_for(composition, sample[0][:30], {}, seed=0)["text"]
    words = sample[0][:30].words()
    assert [parse(text) for text in digits] == [{"digit": w["digit"]} for w in words]
    assert [parse(text) for text in colours] == [{"colour": w["colour"]} for w in words]


@pytest.mark.usefixtures("data_dir")
def test_all_is_the_share_where_each_is_right(sample):
    composition = COMPOSITIONS[0]
    assert composition.title == "audio: digit + text: colour → I"
    half_right = replace(sample[0][:60], colour=(sample[0].colour[:60] + 1) % 8)
    found = follows(composition, half_right, sample[1]["image"][:60])
    assert found["digit"].value > 0.9 and found["all"].value == found["colour"].value == 0 and found["all"].n == 60


@pytest.mark.parametrize("composition", COMPOSITIONS, ids=lambda c: c.title)
def test_every_part_is_said_by_one_prompt_alone(composition):
    assert len(set(composition.asked)) == len(composition.asked)
    (one, asked), (other, _) = composition.prompts
    if "text" not in (one, other):  # a text leaves out what it is not asked for
        assert not set(asked) & set(ATTRIBUTES_OF[other])
