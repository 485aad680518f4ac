import pytest
import torch

from codi_minimal.device import best_device, seed_generator, seed_global, step_seed


def test_device_prefers_the_accelerator(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert best_device().type == "mps"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert best_device().type == "cuda"
    assert best_device("cuda:1") == torch.device("cuda:1")
    assert best_device("cpu").type == "cpu"


@pytest.mark.parametrize("name", ["cuda", "mps", "gpu", "", "cuda:7"])
def test_unavailable_device_is_refused(monkeypatch, name):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ValueError, match="available here"):
        best_device(name)


def test_seed_generator_repeats_and_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    first, again, other = (torch.randn(8, generator=seed_generator(s)) for s in (3, 3, 4))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("seed", [-1, 2**63, 1.0, "1", True, None])
def test_bad_seed_is_refused(seed):
    with pytest.raises(ValueError, match="expected a seed"):
        seed_generator(seed)


def test_step_seeds_are_distinct_and_seed_the_whole_generator():
    seeds = [step_seed(s, i, stream) for s in range(20) for i in range(200) for stream in ("a", "b")]
    assert len({seed % 2**32 for seed in seeds}) == len(seeds)  # the CPU's generator reads the low 32 bits
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_seed_global_fixes_dropout():
    with torch.random.fork_rng(devices=[]):
        masks = []
        for seed in (1, 1, 2):
            seed_global(seed, torch.device("cpu"))
            masks.append(torch.nn.functional.dropout(torch.ones(64)))
    assert torch.equal(masks[0], masks[1]) and not torch.equal(masks[0], masks[2])
