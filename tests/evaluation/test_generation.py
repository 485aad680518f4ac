import warnings

import torch

from codi_minimal.evaluation.generation import BatchedModel, part, scene_generator


class Counter:
    """Gives back its seed, its options and how many samples it was asked for."""

    def __init__(self):
        self.calls = []

    def generate(self, prompts, outputs, num_samples, seed, **options):
        self.calls.append((seed, num_samples, options))
        n = len(prompts["text"]) if prompts else num_samples
        return {"text": list(prompts.get("text", [str(seed)] * n)), "image": torch.full((n, 1), float(seed))}


def test_batches_come_back_in_order_each_with_its_own_seed():
    model = Counter()
    captions = [str(i) for i in range(10)]
    made = BatchedModel(model, 5, {"steps": 3}, batch=4)({"text": captions}, ("text", "image"), 10, joint=False)
    assert made["text"] == captions
    assert made["image"][:, 0].tolist() == [5] * 3 + [8] * 3 + [11] * 4
    assert model.calls == [
        (5, 1, {"steps": 3, "joint": False}),
        (8, 1, {"steps": 3, "joint": False}),
        (11, 1, {"steps": 3, "joint": False}),
    ]


def test_a_part_of_several_prompts_is_a_part_of_each():
    texts, x = [["a", "b", "c"], ["d", "e", "f"]], torch.arange(3)
    assert part(texts, 1, 3) == [["b", "c"], ["e", "f"]] and part(x, 1, 3).tolist() == [1, 2]


def test_without_prompts_the_number_of_samples_is_asked_for():
    model = Counter()
    assert len(BatchedModel(model, batch=4)({}, ("text",), 6)["text"]) == 6
    assert [n for _, n, _ in model.calls] == [3, 3]


def test_prompts_can_be_given_streams_instead():
    class Held(Counter):
        def generate(self, given, outputs, **options):
            assert "prompts" not in options
            return super().generate(given, outputs, **options)

    captions = [str(i) for i in range(10)]
    made = BatchedModel(Held(), 5, batch=4, role="given")({"text": captions}, ("text", "image"), 10)
    assert made["text"] == captions and made["image"][:, 0].tolist() == [5] * 3 + [8] * 3 + [11] * 4


def test_several_processes_make_the_same():
    requests = [({"text": [f"{k} {i}" for i in range(5)]}, ("image", "text")) for k in "ab"]
    expected = list(BatchedModel(Counter(), 3, batch=2).many(requests, 5))
    with warnings.catch_warnings(action="error"):
        model = BatchedModel(Counter(), 3, batch=2, workers=2)
        assert model({}, ("text",), 2)["text"] == ["3", "3"]
        made = list(model.many(requests, 5))
    assert model.model.calls == []  # the processes have copies
    for one, other in zip(made, expected, strict=True):
        assert one["text"] == other["text"] and torch.equal(one["image"], other["image"])


def test_seeds_at_the_end_of_their_range_do_not_overflow():
    last = 2**63 - 1
    model = Counter()
    assert len(BatchedModel(model, last, batch=4)({}, ("text",), 6)["text"]) == 6
    assert [seed for seed, *_ in model.calls] == [last, 2]
    assert scene_generator(last, 999).initial_seed() < 2**63 and scene_generator(3, 7).initial_seed() == 3007
