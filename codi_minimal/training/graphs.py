"""CUDA graphs: all kernels of a network are launched by one call.

A small network on a large GPU spends most of a step on launches. A graph needs inputs of fixed shapes, and a network
that neither reads a value back nor copies one from the CPU.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import get_gradient_edge
from torch.utils._pytree import tree_flatten, tree_unflatten


class _OfTensors(nn.Module):
    """A module as a function of its arguments' tensors alone, which is what can be captured."""

    def __init__(self, module: nn.Module, leaves: list[Any], spec: Any) -> None:
        super().__init__()
        self.module, self.spec = module, spec
        self.others = [None if isinstance(leaf, Tensor) else leaf for leaf in leaves]
        self.places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]

    def forward(self, *tensors: Tensor) -> Tensor:
        leaves = list(self.others)
        for i, tensor in zip(self.places, tensors, strict=True):
            leaves[i] = tensor
        return self.module(*tree_unflatten(leaves, self.spec))


def graphed(module: nn.Module) -> Callable[..., Tensor]:
    """A function that calls the module, with positional arguments, as CUDA graphs.

    It captures two graphs, forward and backward, at the first call with arguments of certain shapes. A graph has one
    place in memory for all that it keeps. So between a call and its backward there must be no other call, and gradients
    must be cleared before each backward, because they are the graph's own memory. Parameters must stay where they are;
    optimizer and `EMA` change them in place. Without gradients the module itself is called.
    """
    captured: dict[Any, Callable[..., Tensor]] = {}
    parameters, nodes = list(module.parameters()), []

    def call(*args: Any) -> Tensor:
        if not torch.is_grad_enabled():
            return module(*args)
        leaves, spec = tree_flatten(args)
        tensors = tuple(leaf for leaf in leaves if isinstance(leaf, Tensor))
        inputs = tuple((x.shape, x.dtype, x.requires_grad) if isinstance(x, Tensor) else x for x in leaves)
        kind = tensors[0].device.type
        autocast = torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)
        key = inputs, spec, autocast, tuple(p.requires_grad for p in parameters)
        if key not in captured:
            # the nodes that add up gradients belong to the stream of the training loop, as long as something holds them
            nodes[:] = [get_gradient_edge(p).node for p in parameters if p.requires_grad]
            captured[key] = capture(_OfTensors(module, leaves, spec), tensors, *autocast)
        return captured[key](*tensors)

    return call


def capture(module: nn.Module, inputs: tuple[Tensor, ...], enabled: bool, dtype: torch.dtype) -> Callable[..., Tensor]:
    """The graphs of a module for inputs like these, under the autocast of the caller."""
    samples = tuple(x.detach().clone().requires_grad_(x.requires_grad) for x in inputs)
    # nodes that are held are of another stream than the one that captures; older versions of torch do not mind
    let_override = getattr(torch.autograd.graph, "set_override_stale_capture_stream", lambda enabled: None)
    let_override(True)
    try:
        # what autocast has cached outside of a graph would be gone when the graph runs again
        with torch.autocast(inputs[0].device.type, dtype, enabled, cache_enabled=False):
            return torch.cuda.make_graphed_callables(module, samples, allow_unused_input=True)
    finally:
        let_override(False)
