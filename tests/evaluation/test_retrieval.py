"""The report on data without judges: whom retrieval finds, and what distances are between."""

import json
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from codi_minimal.data import OwnPairs
from codi_minimal.data.own_pairs import whole_numbers
from codi_minimal.evaluation.retrieval import evaluate_pairs, found, markdown, same_items

N, KINDS, SEED = 60, 3, 5  # items, how many of them differ in kind, and the seed of the share that is held out


def pairs() -> OwnPairs:
    """Captions and images of three kinds; every item also has a video, which no encoder tells from another."""
    image = (torch.arange(N) % KINDS / 10)[:, None, None, None].repeat(1, 3, 32, 32)
    clips = torch.zeros(N, 8, 3, 32, 32)
    image[:, 0, 0, 1] = clips[:, 0, 0, 0, 1] = torch.arange(N) / 255  # no two are equal
    tensors = {"image": whole_numbers("image", image), "video": whole_numbers("video", clips)}
    return OwnPairs([(f"kind {i % KINDS}",) for i in range(N)], dict.fromkeys(tensors, torch.arange(N)), tensors)


def held_out() -> list[int]:
    return pairs().share("validation", SEED).items.tolist()


class Known:
    """Knows the kinds of captions and images; generates what it is asked for, or something else."""

    def __init__(self, instead: str = ""):
        self.instead, self.asked = instead, {}
        train, sizes = SimpleNamespace(split_seed=SEED), SimpleNamespace(d=KINDS + 1)
        self.config = SimpleNamespace(train=train, model=sizes)
        self.modalities = dict.fromkeys(("text", "image", "video"))

    def kinds(self, name, data):
        if name in ("text",):
            return torch.tensor([int(text.split()[1]) for text in data])
        return (data.flatten(1)[:, 0] * 10).round().long()

    def encode_prompt(self, name, data):
        return F.one_hot(self.kinds(name, data), KINDS + 1).float() + 0.01

    def generate(self, prompts, outputs, num_samples, seed):
        ((name, data),), (output,) = prompts.items(), outputs
        self.asked[name, output] = data
        kinds = torch.full((len(data),), KINDS) if self.instead else self.kinds(name, data)
        made = {
            "text": [self.instead or f"kind {k}" for k in kinds.tolist()],
            "image": kinds[:, None, None, None].expand(-1, 3, 32, 32) / 10,
            "video": torch.zeros(len(data), 8, 3, 32, 32),
        }
        return {output: made[output]}

    def modality(self, name):
        return SimpleNamespace(encode=lambda data: data)

    def in_batches(self, f, data):
        return f(data)

    def decode(self, name, z0):
        """All that it reconstructs is of the first kind."""
        return ["kind 0"] * len(z0) if isinstance(z0, list) else torch.zeros_like(z0)


def test_a_model_that_knows_finds_and_makes_every_kind(tmp_path):
    model, n = Known(), len(held_out())
    report = evaluate_pairs(model, pairs(), tmp_path, command="the command", progress=False)
    right = report["retrieval"]["text → image"]
    assert right["real"]["n"] == n >= 4 and right["real"]["value"] == right["generated"]["value"] == 1
    assert right["chance"] == pytest.approx(sum((i - j) % KINDS == 0 for i in held_out() for j in held_out()) / n**2)
    assert set(report["retrieval"]) == {
        "text → image", "image → text", "text → video", "video → text", "image → video", "video → image",
    }  # fmt: skip
    assert report["retrieval"]["text → video"]["real"]["value"] < 1
    for name in ("text", "image"):
        distance = {whose: figure["value"] for whose, figure in report["distances"][name].items() if whose != "n"}
        assert 0 < distance["training data"] < distance["reconstructed"] > distance["generated"], name
        assert report["distances"][name]["n"] == n
    page = (tmp_path / "own-pairs.md").read_text(encoding="utf-8")
    assert "`the command`" in page and "| text → image | 1.000 [" in page
    assert json.loads((tmp_path / "own-pairs.json").read_text(encoding="utf-8")) == report


def test_what_is_wrong_is_counted_and_lies_farther_away(tmp_path):
    right, wrong = (
        evaluate_pairs(Known(instead), pairs(), tmp_path, samples=4, seed=3, progress=False)
        for instead in ("", "kind 3")
    )
    way = wrong["retrieval"]["text → image"]
    assert way["generated"]["value"] < 1 == way["real"]["value"] and way["real"]["n"] == 4
    assert wrong["distances"]["image"]["generated"]["value"] > right["distances"]["image"]["generated"]["value"]


def test_a_caption_without_a_word_is_not_found_and_ends_nothing(tmp_path):
    report = evaluate_pairs(Known("..."), pairs(), tmp_path, progress=False)
    assert report["retrieval"]["image → text"]["generated"]["value"] == 0
    assert report["distances"]["text"] == {"n": 0} and "| text | - | - | - | 0 |" in markdown(report)


def test_all_that_was_held_out_and_nothing_else_is_asked_for(tmp_path):
    model = Known()
    evaluate_pairs(model, pairs(), tmp_path, progress=False)
    for name, images in ((name, x) for (name, _), x in model.asked.items() if name in ("image",)):
        assert sorted((images[:, 0, 0, 1] * 255).round().int().tolist()) == held_out(), name
    assert len(model.asked) == 6


def test_too_few_held_out_pairs_are_refused(tmp_path):
    few = pairs()
    few = OwnPairs(few.texts[:4], {n: r[:4] for n, r in few.rows.items()}, {n: t[:4] for n, t in few.tensors.items()})
    with pytest.raises(ValueError, match="expected 2 or more pairs that are held out, got too few of 4 items"):
        evaluate_pairs(Known(), few, tmp_path, progress=False)


def test_equal_captions_are_the_same_and_images_are_only_themselves():
    assert same_items(["a cat", "A cat!", "a dog"]).tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 1]]
    assert torch.equal(same_items(torch.zeros(3, 2)), torch.eye(3, dtype=torch.bool))
    prompts = torch.eye(3)
    assert found(prompts, prompts, torch.eye(3, dtype=torch.bool)).value == 1
    assert found(prompts.roll(1, 0), prompts, torch.eye(3, dtype=torch.bool)).value == 0


def test_pairs_of_a_modality_that_the_model_lacks_are_refused(tmp_path):
    model = Known()
    del model.modalities["video"]
    with pytest.raises(ValueError, match="expected pairs of text, image, got video"):
        evaluate_pairs(model, pairs(), tmp_path, progress=False)
    with pytest.raises(ValueError, match="samples"):
        evaluate_pairs(Known(), pairs(), tmp_path, samples=1)
