"""A pretend GPU for machines without one: tensors that say they are on it, and compute on the CPU.

Under `pretend_gpu()` an operation on tensors of both devices is an error, as on CUDA, unless it copies from one to the
other. What CUDA allows is allowed: CPU scalars, and CPU indices. The device is registered for the whole process, so a
test of it starts a process of its own.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils import backend_registration
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

NAME = "pretend"
capturing = False
aten = torch.ops.aten
COPIES = (aten._to_copy.default, aten.copy_.default, aten.copy.default, aten._copy_from.default)
# the CPU waits for the results of these, or for their shapes
READS = (aten._local_scalar_dense.default, aten.nonzero.default, aten.masked_select.default, aten.equal.default)
READS += (aten._unique2.default, aten.unique_dim.default)
INDEXED = (aten.index.Tensor, aten.index_put_.default, aten.index_put.default, aten._unsafe_index.Tensor)


class OnGPU(torch.Tensor):
    """A tensor on the pretend GPU; `numbers` has its numbers, on the CPU."""

    @staticmethod
    def __new__(cls, numbers: torch.Tensor) -> "OnGPU":
        layout = {"strides": numbers.stride(), "storage_offset": numbers.storage_offset(), "dtype": numbers.dtype}
        return torch.Tensor._make_wrapper_subclass(cls, numbers.shape, **layout, device=torch.device(NAME, 0))

    def __init__(self, numbers: torch.Tensor) -> None:
        self.numbers = numbers

    def __repr__(self) -> str:
        return f"OnGPU({self.numbers})"

    def tolist(self) -> Any:
        if capturing:
            raise RuntimeError("expected no part of the CPU in a captured graph, got tolist")
        return self.numbers.tolist()

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, op, types, args=(), kwargs=None):
        return run(op, args, kwargs or {})


def check_devices(op: Any, args: tuple, kwargs: dict) -> None:
    """RuntimeError: tensors of both devices, where CUDA would not take them."""
    tensors = tree_leaves((args, kwargs))
    here = [x for x in tensors if isinstance(x, torch.Tensor) and not isinstance(x, OnGPU) and x.ndim]
    if op in INDEXED and isinstance(args[0], OnGPU):
        here = [x for x in here if x.dtype not in (torch.long, torch.int, torch.bool, torch.uint8)]
    if here and op not in COPIES and any(isinstance(x, OnGPU) for x in tensors):
        raise RuntimeError(f"expected all tensors on the same device, got some on {NAME} and some on cpu: {op}")


def check_capture(op: Any, args: tuple, kwargs: dict) -> None:
    """RuntimeError: an operation that a CUDA graph cannot have, because the CPU takes part in it."""
    tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
    there = [isinstance(x, OnGPU) for x in tensors]
    to = kwargs.get("device") and torch.device(kwargs["device"]).type
    copied = to is not None and tensors and (any(there) if to != NAME else not all(there))
    masked = op in INDEXED and any(x.dtype == torch.bool for x in tensors[1:])
    if op in READS or masked or copied or (any(there) and not all(there)):
        raise RuntimeError(f"expected no part of the CPU in a captured graph, got {op}")


@contextmanager
def captured() -> Iterator[None]:
    """Inside the block `check_capture` sees every operation."""
    global capturing
    capturing = True
    try:
        yield
    finally:
        capturing = False


def run(op: Any, args: tuple, kwargs: dict) -> Any:
    """An operation on the numbers of its tensors; its results are on the GPU if an operand is, or if it says so."""
    check_devices(op, args, kwargs)
    if capturing:
        check_capture(op, args, kwargs)
    known = {id(x.numbers): x for x in tree_leaves((args, kwargs)) if isinstance(x, OnGPU)}
    there = bool(known) and op is not aten._local_scalar_dense.default
    if kwargs.get("device") is not None:
        there = torch.device(kwargs["device"]).type == NAME
        kwargs = {**kwargs, "device": "cpu"}
    elif op is aten.copy_.default:
        there = isinstance(args[0], OnGPU)
    if there and kwargs.get("generator") is not None:
        raise RuntimeError(f"expected a generator on {NAME}, got one on the CPU: {op}")
    args, kwargs = tree_map_only(OnGPU, lambda x: x.numbers, (args, kwargs))
    result = op(*args, **kwargs)
    # an operation in place returns the tensor that it got
    return tree_map_only(torch.Tensor, lambda x: known.get(id(x), OnGPU(x) if there else x), result)


class Watch(TorchDispatchMode):
    """Lets `run` see operations whose operands are all on the CPU, too: those that make tensors."""

    def __torch_dispatch__(self, op, types, args=(), kwargs=None):
        return run(op, args, kwargs or {})


class Backend(backend_registration._DummyBackendModule):
    def manual_seed(self, seed: int) -> None:
        pass

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]


@contextmanager
def pretend_gpu() -> Iterator[torch.device]:
    """The device, which is there inside the block. Autocast does nothing on it."""
    backend_registration._setup_privateuseone_for_python_backend(NAME, backend_module=Backend())
    library = torch.library.Library("_", "IMPL", "AutocastPrivateUse1")
    library.fallback(torch.library.fallthrough_kernel)
    made = torch.tensor

    def tensor(values: Any, *args, device: Any = None, **kwargs) -> torch.Tensor:
        x = made(values, *args, **kwargs)  # with a device, it would ask the backend for memory
        return x if device is None else x.to(device)

    torch.tensor = tensor
    try:
        with Watch(), torch.autograd.set_multithreading_enabled(False):
            yield torch.device(NAME, 0)
    finally:
        torch.tensor = made
