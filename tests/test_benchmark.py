"""What the benchmark counts and times; the figures themselves are those of a machine."""

import copy
import re
import time
from functools import partial

import pytest
import torch

from codi_minimal import CoDi
from codi_minimal import benchmark as module
from codi_minimal.benchmark import benchmark, counted, denoiser_steps, markdown_table, of_diffusers, products, timed
from codi_minimal.config import preset
from codi_minimal.data import VOCABULARY
from tests.models import random_codi

CPU = torch.device("cpu")


def test_pieces_of_work_are_timed_in_turn_and_once_before():
    calls = []
    works = {name: partial(calls.append, name) for name in "ab"}
    assert set(timed(works, CPU, rounds=3)) == {"a", "b"}
    assert calls == ["a", "b"] + ["a", "b"] * 3


def test_the_median_is_given():
    waits = iter([0.0, 0.2, 0.01, 0.03])  # the first does not count
    found = timed({"a": lambda: time.sleep(next(waits))}, CPU, rounds=3)
    assert found["a"] == pytest.approx(0.03, abs=0.02)


def test_operations_are_those_of_the_product(monkeypatch):
    monkeypatch.setattr(module, "MATRIX", 64)
    found = counted(products(CPU), CPU, rounds=1)
    assert [x.flops for x in found.values()] == [2 * 64**3] * 2
    x = found["fp32"]
    assert x.gflops == pytest.approx(2 * 64**3 / x.seconds / 1e9)


def test_attention_counts_as_its_two_products():
    q = torch.randn(2, 4, 32, 16, requires_grad=True)
    attend = partial(torch.nn.functional.scaled_dot_product_attention, q, q, q)
    works = {"forward": attend, "step": lambda: attend().sum().backward()}
    forward = 2 * 2 * 4 * 32 * 32 * 16 * 2  # q kᵀ and its product with v, of 2 · 4 heads
    assert {name: x.flops for name, x in counted(works, CPU, 1).items()} == {"forward": forward, "step": 3 * forward}


def test_a_training_step_changes_the_denoiser_and_not_its_attention_to_others(monkeypatch):
    monkeypatch.setattr(module, "BATCHES", {"image": 2})
    model = copy.deepcopy(random_codi())
    before = {name: p.clone() for name, p in model.named_parameters()}
    (step,) = denoiser_steps(model, "fp32").values()
    step()
    changed = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert changed and all(name.startswith("modalities.image.denoiser.") for name in changed)
    assert not any("environment_attention" in name for name in changed)


def test_the_network_of_diffusers_has_the_same_widths_and_a_like_size():
    pytest.importorskip("diffusers")
    model = CoDi(preset("small"), ["seven"])
    ours, theirs = model.modalities["image"].denoiser, of_diffusers(model)
    assert tuple(theirs.config.block_out_channels) == model.config.model.image_unet.widths
    own = sum(p.numel() for name, p in ours.named_parameters() if "environment" not in name)
    assert 0.5 < sum(p.numel() for p in theirs.parameters()) / own < 2


@pytest.mark.slow
def test_the_report_has_every_table(monkeypatch):
    monkeypatch.setattr(module, "MATRIX", 64)
    monkeypatch.setattr(module, "MANY", 2)
    monkeypatch.setattr(module, "FEWER", 2)
    monkeypatch.setattr(module, "BATCHES", dict.fromkeys(module.BATCHES, 1))
    monkeypatch.setattr(module, "cold_starts", lambda rounds: {"--help": 0.25})
    monkeypatch.setattr(module.CoDi, "from_pretrained", lambda device: CoDi(preset("small"), VOCABULARY).eval())
    text = "\n".join(benchmark("cpu", rounds=1))
    titles = ("matrix product", "training step", "sampling, to latents", "a new process")
    assert [line.split(" | ")[0] for line in text.splitlines() if line.startswith(tuple(f"| {t}" for t in titles))] == [
        f"| {title}" for title in titles
    ]
    rows = [line for line in text.splitlines() if line.startswith("| image, batch 1 | ")]
    assert [row.split(" | ")[1] for row in rows] == ["fp32", "bf16"]
    assert "| --help | 0.25 |" in text and re.search(r"memory at most: \d+ MiB", text)


def test_a_table_has_a_rule_of_as_many_columns():
    assert markdown_table("a | b", ["1 | 2"]) == ["| a | b |", "|---|---|", "| 1 | 2 |", ""]


def test_less_than_one_round_is_refused():
    with pytest.raises(ValueError, match="expected rounds >= 1, got 0"):
        next(benchmark("cpu", 0))
