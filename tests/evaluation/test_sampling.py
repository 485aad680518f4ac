import torch

from codi_minimal.evaluation.sampling import Sampler, part, workers


class Counter:
    """Gives back its seed, its options and how many samples it was asked for."""

    def __init__(self):
        self.calls = []

    def generate(self, prompts, outputs, num_samples, joint, seed, **options):
        self.calls.append((seed, num_samples, joint, options))
        n = len(prompts["text"]) if prompts else num_samples
        return {"text": list(prompts.get("text", [str(seed)] * n)), "image": torch.full((n, 1), float(seed))}


def test_batches_come_back_in_order_each_with_its_own_seed():
    model = Counter()
    captions = [str(i) for i in range(10)]
    made = Sampler(model, 5, {"steps": 3}, batch=4)({"text": captions}, ("text", "image"), 10, joint=False)
    assert made["text"] == captions
    assert made["image"][:, 0].tolist() == [5] * 3 + [8] * 3 + [11] * 4
    assert model.calls == [
        (5, 1, False, {"steps": 3}),
        (8, 1, False, {"steps": 3}),
        (11, 1, False, {"steps": 3}),
    ]


def test_a_part_of_several_prompts_is_a_part_of_each():
    texts, x = [["a", "b", "c"], ["d", "e", "f"]], torch.arange(3)
    found = part({"text": texts, "image": x}, 1, 3)
    assert found["text"] == [["b", "c"], ["e", "f"]] and found["image"].tolist() == [1, 2]


def test_without_prompts_the_number_of_samples_is_asked_for():
    model = Counter()
    assert len(Sampler(model, batch=4)({}, ("text",), 6)["text"]) == 6
    assert [n for _, n, _, _ in model.calls] == [3, 3]


def test_several_processes_make_the_same():
    requests = [({"text": [f"{k} {i}" for i in range(5)]}, ("image", "text")) for k in "ab"]
    expected = list(Sampler(Counter(), 3, batch=2).many(requests, 5))
    with workers(Counter(), 2) as pool:
        made = list(Sampler(None, 3, batch=2, pool=pool).many(requests, 5))
    for one, other in zip(made, expected, strict=True):
        assert one["text"] == other["text"] and torch.equal(one["image"], other["image"])
