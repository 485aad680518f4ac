import pytest
import torch

from codi_minimal.evaluation.coherence import (
    ATTRIBUTES,
    CHANCES,
    NEAR_ONSET,
    RECALL,
    SUBSETS,
    WELL_FORMED,
    cell_name,
    coherence,
    mean_coherence,
    said_by,
)
from codi_minimal.evaluation.readers import items_of

ALL = ("text", "image", "audio", "video")


def prompts_of(sample, names):
    return {name: sample[1][name][:80] for name in names}


def test_there_are_fifteen_sets_and_cells_have_names():
    assert len(SUBSETS) == len(set(SUBSETS)) == 15
    assert cell_name(("text",), ("image", "audio")) == "T → IA"


def test_each_prompt_says_what_it_carries(sample):
    scene, renders = sample
    said = said_by({"audio": renders["audio"]}, scene)
    assert torch.equal(said["digit"], scene.digit) and torch.equal(said["onset"], scene.onset)
    assert (said["colour"] == -1).all() and (said["motion"] == -1).all()
    said = said_by({"text": renders["text"]}, scene)
    assert (said["onset"] == -1).all()
    assert 0.5 < (said["colour"] >= 0).float().mean() < 0.9  # captions say a part
    heard = said["digit"] >= 0
    assert torch.equal(said["digit"][heard], scene.digit[heard])
    both = said_by({"text": renders["text"], "image": renders["image"]}, scene)
    assert torch.equal(both["colour"], scene.colour) and torch.equal(both["motion"], said["motion"])


@pytest.mark.usefixtures("data_dir")
@pytest.mark.parametrize("prompt", ALL)
def test_one_who_listens_is_coherent_and_one_who_does_not_is_at_chance(sample, models, prompt):
    scene, prompts = sample[0][:80], prompts_of(sample, [prompt])
    said = said_by(prompts, scene)
    heard = coherence(said, models.oracle.generate(prompts, ALL))
    ignored = coherence(said, models.deaf.generate(prompts, ALL))
    assert mean_coherence(heard).value >= 0.96
    for output, shares in heard.items():
        for name, share in shares.items():
            assert name in RECALL.values() or not share.n or share.value >= 0.9, (output, name)
            if share.n and name in CHANCES:
                low, high = ignored[output][name].interval
                # the judges are not perfect, and one interval in twenty misses
                assert low - 0.05 <= CHANCES[name] <= high + 0.05, (output, name, ignored[output][name])


def test_counted_is_only_what_both_sides_carry(sample, models):
    scene, prompts = sample[0][:80], prompts_of(sample, ["text"])
    scores = coherence(said_by(prompts, scene), models.oracle.generate(prompts, ALL))
    said = said_by(prompts, scene)
    assert set(scores["audio"]) == {"digit", "onset", NEAR_ONSET} and scores["audio"]["onset"].n == 0
    assert scores["image"]["colour"].n == int((said["colour"] >= 0).sum()) < 80
    assert scores["text"][WELL_FORMED].value == 1


def test_a_caption_may_be_silent_but_not_wrong_or_without_grammar():
    said = {name: torch.full((4,), -1) for name in ATTRIBUTES} | {"digit": torch.tensor([7, 7, 7, 7])}
    scores = coherence(said, {"text": ["a red seven", "something red", "a red eight", "seven a"]})["text"]
    assert (scores["digit"].value, scores["digit"].n) == (pytest.approx(1 / 3), 3)
    assert (scores[RECALL["digit"]].value, scores[RECALL["digit"]].n) == (2 / 4, 4)  # a wrong digit is a mention
    assert scores["colour"].n == scores[RECALL["colour"]].n == 0  # no prompt gave a colour
    assert (scores[WELL_FORMED].value, scores[WELL_FORMED].n) == (3 / 4, 4)


def test_recall_is_of_what_the_prompts_give(sample):
    scene, renders = sample
    colour = scene.words()[0]["colour"]
    captions = [f"a {colour} {words['digit']}" if i % 2 else words["digit"] for i, words in enumerate(scene.words())]
    scores = coherence(said_by({"image": renders["image"]}, scene), {"text": captions})["text"]
    assert scores[RECALL["colour"]].value == 1 / 2 and scores["colour"].n == len(scene) / 2
    assert scores[RECALL["digit"]].value == scores["digit"].value == 1 and scores[RECALL["motion"]].n == 0
    given = said_by({"text": ["seven"] * 10 + ["a red seven"] * 290}, scene)
    assert coherence(given, {"text": ["a red seven"] * 300})["text"][RECALL["colour"]].n == 290


def test_intervals_are_clustered_by_what_the_prompts_show(sample, models):
    scene, renders = sample[0][[0, 1, 2, 3] * 10], {name: data[:4] for name, data in sample[1].items()}
    assert items_of(["text"], scene) == [] and items_of(["image"], None) == []
    assert [x.tolist() for x in items_of(["image", "video", "audio"], scene)] == [
        scene.glyph.tolist(), scene.recording.tolist(),
    ]  # fmt: skip
    outputs = {name: renders[name] * 10 if name == "text" else renders[name].repeat_interleave(10, 0) for name in ALL}
    scores, alone = (
        coherence(said_by({"image": None, "video": None}, scene), outputs, items=items)
        for items in (items_of(["image"], scene), ())
    )
    for output, name in [("image", "colour"), ("video", "motion"), ("text", WELL_FORMED), ("video", NEAR_ONSET)]:
        assert scores[output][name].interval[0] < alone[output][name].interval[0] - 0.01, (output, name)
    assert scores["text"][RECALL["digit"]].interval[0] < alone["text"][RECALL["digit"]].interval[0]


def test_garbage_is_wrong(sample, models):
    scene, prompts = sample[0][:20], {k: v[:20] for k, v in prompts_of(sample, ["video"]).items()}
    scores = coherence(said_by(prompts, scene), models.broken.generate(prompts, ALL))
    assert all(share.value == 0 and share.n == 20 for shares in scores.values() for share in shares.values())
    assert mean_coherence(scores).value == 0


def test_a_cell_where_nothing_is_determined_has_no_mean():
    nothing = {name: torch.full((1,), -1) for name in ATTRIBUTES}
    assert mean_coherence(coherence(nothing, {"text": ["seven"]})).value is None
