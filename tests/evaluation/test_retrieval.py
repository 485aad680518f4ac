"""The report on data without judges: whom retrieval finds, and what distances are between."""

import json
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from codi_minimal.data import OwnPairs
from codi_minimal.data.own_pairs import kept
from codi_minimal.evaluation.retrieval import evaluate_pairs, found, same_items

N, KINDS = 60, 3  # items, and how many there are that differ


def pairs() -> OwnPairs:
    """Captions and images of three kinds; every item also has a video that nothing tells apart."""
    levels = torch.arange(N) % KINDS / 10
    image = kept("image", levels[:, None, None, None].expand(N, 3, 32, 32))
    clips = torch.zeros(N, 8, 3, 32, 32, dtype=torch.uint8)
    rows = {"image": torch.arange(N), "video": torch.arange(N)}
    return OwnPairs([(f"kind {i % KINDS}",) for i in range(N)], rows, {"image": image, "video": clips})


class Known:
    """Knows the kinds of captions and images; generates what it is asked for, or another kind."""

    def __init__(self, is_right: bool = True):
        self.is_right, self.asked = is_right, []
        self.config = SimpleNamespace(train=SimpleNamespace(split_seed=0))
        self.modalities = dict.fromkeys(("text", "image", "video"))

    def kinds(self, name, data):
        if name in ("text",):
            return torch.tensor([int(text.split()[1]) for text in data])
        return (data.flatten(1)[:, 0] * 10).round().long()

    def encode_prompt(self, name, data):
        return F.one_hot(self.kinds(name, data), KINDS + 1).float() + 0.01

    def generate(self, prompts, outputs, num_samples, seed):
        ((name, data),), (output,) = prompts.items(), outputs
        self.asked.append((name, output, len(data), seed))
        kinds = self.kinds(name, data) if self.is_right else torch.full((len(data),), KINDS)
        made = {
            "text": [f"kind {k}" for k in kinds.tolist()],
            "image": kinds[:, None, None, None].expand(-1, 3, 32, 32) / 10,
            "video": torch.zeros(len(data), 8, 3, 32, 32),
        }
        return {output: made[output]}

    def modality(self, name):
        return SimpleNamespace(encode=lambda data: data)

    def in_batches(self, f, data):
        return f(data)

    def decode(self, name, z0):
        return z0


def test_a_model_that_knows_finds_and_makes_every_kind(tmp_path):
    model = Known()
    report = evaluate_pairs(model, pairs(), tmp_path, command="the command", progress=False)
    right = report["retrieval"]["text → image"]
    n = right["real"]["n"]
    assert n == 6 and right["real"]["value"] == right["generated"]["value"] == 1 and 0.2 < right["chance"] < 0.6

    assert set(report["retrieval"]) == {
        "text → image", "image → text", "text → video", "video → text", "image → video", "video → image",
    }  # fmt: skip
    assert report["retrieval"]["text → video"]["real"]["value"] < 1
    assert report["distances"]["text"]["reconstructed"]["value"] == pytest.approx(0, abs=1e-9)
    page = (tmp_path / "own-pairs.md").read_text(encoding="utf-8")
    assert "`the command`" in page and "| text → image | 1.000 [" in page
    assert json.loads((tmp_path / "own-pairs.json").read_text(encoding="utf-8")) == report


def test_what_is_wrong_is_counted_and_lies_farther_away(tmp_path):
    right, wrong = (
        evaluate_pairs(Known(w), pairs(), tmp_path, samples=5, seed=3, progress=False) for w in (True, False)
    )
    way = wrong["retrieval"]["text → image"]
    assert way["generated"]["value"] < 1 == way["real"]["value"] and way["real"]["n"] == 5
    assert wrong["distances"]["image"]["generated"]["value"] > right["distances"]["image"]["generated"]["value"]


def test_only_held_out_items_are_asked_for(tmp_path):
    model = Known()
    evaluate_pairs(model, pairs(), tmp_path, progress=False)
    assert [n for *_, n, _ in model.asked] == [6] * 6
    assert {(a, b) for a, b, *_ in model.asked} >= {("text", "image"), ("image", "text")}


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
