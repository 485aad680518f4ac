from dataclasses import replace

import pytest
import torch
from torch import nn

from codi_minimal.alignment import Environment
from codi_minimal.config import preset
from codi_minimal.data import TalkingDigits, load
from codi_minimal.training import graphs, run, stages
from tests.models import random_codi


class Replayed(nn.Module):
    """Stands for a pair of graphs: it has one place for its inputs, and one for what a backward needs."""

    def __init__(self, module, samples):
        super().__init__()
        self.module, self.samples, self.waiting = module, samples, False
        self.autocast = torch.is_autocast_enabled("cpu")

    def forward(self, *inputs):
        assert not self.waiting, "a second call before the backward of the first"
        assert self.autocast == torch.is_autocast_enabled("cpu")
        for sample, x in zip(self.samples, inputs, strict=True):
            assert (sample.shape, sample.dtype, sample.requires_grad) == (x.shape, x.dtype, x.requires_grad)
            assert sample.data_ptr() != x.data_ptr() and sample.grad_fn is None
        out = self.module(*inputs)
        self.waiting = out.requires_grad
        if self.waiting:
            out.register_hook(lambda gradient: setattr(self, "waiting", False))
        return out


@pytest.fixture
def captured(monkeypatch):
    """The graphs that would be captured."""
    made = []

    def capture(module, samples, allow_unused_input):
        assert allow_unused_input and not torch.is_autocast_cache_enabled()
        made.append(Replayed(module, samples))
        return made[-1]

    monkeypatch.setattr(torch.cuda, "make_graphed_callables", capture)
    return made


def inputs(b, tokens=3, gradient=False, seed=0):
    g = torch.Generator().manual_seed(seed)
    sizes = preset("tiny").model
    env = Environment(torch.randn(b, tokens, sizes.d_env, generator=g), torch.ones(b, tokens, dtype=torch.bool))
    env = Environment(env.tokens.requires_grad_(gradient), env.present)
    z = torch.randn(b, *random_codi().modalities["image"].latent_shape, generator=g)
    return z, torch.arange(b) + seed, torch.randn(b, sizes.d, generator=g), env


def test_a_graph_is_captured_once_for_each_shape_and_for_what_needs_a_gradient(captured):
    net = random_codi().modalities["image"].denoiser
    call = graphs.graphed(net)
    for how in ({"b": 2}, {"b": 3}, {"b": 2, "tokens": 4}, {"b": 2, "gradient": True}):
        for seed in (0, 1):  # the second has other values
            args = inputs(**how, seed=seed)
            out = call(*args)
            assert torch.equal(out, net(*args))
            if out.requires_grad:
                out.sum().backward()
    assert torch.equal(call(*inputs(2)[:3], None), net(*inputs(2)[:3], None))
    assert [len(graph.samples) for graph in captured] == [5, 5, 5, 5, 3]


def test_gradients_reach_parameters_and_inputs(captured):
    net = nn.Linear(4, 4)
    call, x = graphs.graphed(net), torch.ones(2, 4, requires_grad=True)
    call(x).sum().backward()
    assert x.grad is not None and net.weight.grad is not None
    net.weight.requires_grad_(False)  # as another stage would freeze it
    call(x).sum().backward()
    assert len(captured) == 2


def test_a_graph_has_the_autocast_of_its_first_call(captured):
    call, x = graphs.graphed(nn.Linear(4, 4)), torch.ones(2, 4)
    call(x).sum().backward()
    with torch.autocast("cpu", torch.bfloat16):
        assert call(x).dtype == torch.bfloat16
    assert [graph.autocast for graph in captured] == [False, True]


def test_without_gradients_nothing_is_captured(captured):
    with torch.no_grad():
        graphs.graphed(nn.Linear(4, 4))(torch.ones(2, 4))
    assert not captured


@pytest.mark.slow
def test_every_stage_calls_a_graph_once_before_its_backward(captured, tmp_path, monkeypatch):
    """All stages of "tiny" as on a GPU; nodes that an earlier capture left would belong to another stream."""
    config = preset("tiny")
    few = {name: replace(s, steps=12 if name == "joint" else 4) for name, s in config.train.stages.items()}
    config = replace(config, train=replace(config.train, stages=few, cache=16, video_cache=16, autocast="bf16"))
    monkeypatch.setattr(run.Run, "graphed", lambda self, net: graphs.graphed(net))
    of = stages.new_run(config, TalkingDigits(load(hub=False)), tmp_path, "cpu", 0, False)
    for name in of.config.train.stages:
        before = len(captured)
        stages.STAGES[name].train(of)
        assert (len(captured) > before) == name.startswith(("denoiser", "joint", "beside")), name


@pytest.mark.parametrize(
    ("compile", "device", "ranks", "is_graphed"),
    [(True, "cuda", 1, True), (False, "cuda", 1, False), (True, "cpu", 1, False), (True, "cuda", 2, False)],
)
def test_graphs_need_the_config_a_gpu_and_a_single_rank(monkeypatch, compile, device, ranks, is_graphed):
    class Here(run.Run):
        config, device = property(lambda self: config), property(lambda self: torch.device(where))

    config, where = preset("tiny"), device
    config = replace(config, train=replace(config.train, compile=compile))
    monkeypatch.setattr(run, "ranks", lambda: ranks)
    net = nn.Linear(1, 1)
    assert (Here.graphed(Here.__new__(Here), net) is not net) == is_graphed
