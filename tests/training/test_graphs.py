import pytest
import torch

from codi_minimal.alignment import Environment
from codi_minimal.config import preset
from codi_minimal.training import graphs
from tests.models import random_codi


@pytest.fixture
def captures(monkeypatch):
    """What would be captured: (module, samples) of each call. The module is returned as it is."""
    calls = []

    def capture(module, samples, allow_unused_input):
        assert allow_unused_input and not torch.is_autocast_cache_enabled()
        assert all(x.is_leaf and x.grad_fn is None for x in samples)
        calls.append((module, samples))
        return module

    monkeypatch.setattr(torch.cuda, "make_graphed_callables", capture)
    return calls


def inputs(b, tokens=3, gradient=False):
    g = torch.Generator().manual_seed(b)
    sizes = preset("tiny").model
    env = Environment(torch.randn(b, tokens, sizes.d_env, generator=g), torch.ones(b, tokens, dtype=torch.bool))
    env = Environment(env.tokens.requires_grad_(gradient), env.present)
    z = torch.randn(b, *random_codi().modalities["image"].latent_shape, generator=g)
    return z, torch.arange(b), torch.randn(b, sizes.d, generator=g), env


def test_a_graph_is_captured_once_for_each_shape_and_for_what_needs_a_gradient(captures):
    net = random_codi().modalities["image"].denoiser
    call = graphs.graphed(net)
    others = inputs(3), inputs(2, tokens=4), (*inputs(2)[:3], None), inputs(2, gradient=True)
    for args in (inputs(2), inputs(2), *others):
        assert torch.equal(call(*args), net(*args))
        call(*args)
    assert [len(samples) for _, samples in captures] == [5, 5, 5, 3, 5]
    assert [samples[-2].requires_grad for _, samples in captures] == [False] * 4 + [True]


def test_gradients_reach_parameters_and_inputs(captures):
    net = torch.nn.Linear(4, 4)
    call, x = graphs.graphed(net), torch.ones(2, 4, requires_grad=True)
    call(x).sum().backward()
    assert x.grad is not None and net.weight.grad is not None
    net.weight.requires_grad_(False)  # as another stage would freeze it
    call(x)
    assert len(captures) == 2


def test_without_gradients_nothing_is_captured(captures):
    with torch.no_grad():
        graphs.graphed(torch.nn.Linear(4, 4))(torch.ones(2, 4))
    assert not captures
