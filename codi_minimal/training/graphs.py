"""CUDA graphs: all kernels of a network are launched by one call.

A small network on a large GPU spends most of a step on launches. A graph needs inputs of fixed shapes, and a network
that neither reads a value back nor copies one from the CPU.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
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
    """The same function of positional arguments; one pair of graphs, forward and backward, for each of their shapes.

    Between a call and its backward there must be no other: a graph has one place in memory for all that it keeps.
    Parameters must stay where they are, too; optimizer and `EMA` change them in place. Without gradients the
    module itself is called.
    """
    captured: dict[Any, nn.Module] = {}

    def call(*args: Any) -> Tensor:
        if not torch.is_grad_enabled():
            return module(*args)
        leaves, spec = tree_flatten(args)
        tensors = tuple(leaf for leaf in leaves if isinstance(leaf, Tensor))
        trained = tuple(p.requires_grad for p in module.parameters())
        inputs = tuple((x.shape, x.requires_grad) if isinstance(x, Tensor) else x for x in leaves)
        key = (inputs, spec, trained)
        if key not in captured:
            samples = tuple(x.detach().clone().requires_grad_(x.requires_grad) for x in tensors)
            kind = tensors[0].device.type
            # what autocast has cached outside of a graph would be gone when the graph runs again
            enabled, dtype = torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)
            with torch.autocast(kind, dtype, enabled, cache_enabled=False):
                whole = _OfTensors(module, leaves, spec)
                captured[key] = torch.cuda.make_graphed_callables(whole, samples, allow_unused_input=True)
        return captured[key](*tensors)

    return call
