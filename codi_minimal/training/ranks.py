"""Several processes (ranks) train one model, each on its share of every batch: torch.distributed, started by torchrun.

Each rank draws its share with a generator of its own, from (seed, step, rank). DistributedDataParallel averages the
gradients, so that all ranks make the same step. Rank 0 writes all files, into a folder that all ranks can read.
Without torchrun there is one rank, and nothing here has an effect.
"""

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from codi_minimal.device import best_device
from codi_minimal.lock import LOCK, alone_in

LONGEST_WAIT = timedelta(hours=2)  # of a rank for another; rank 0 may need an hour to encode the samples of a stage


@contextmanager
def joined(device: str | None = None) -> Iterator[torch.device]:
    """Inside the block this process is one of the ranks that torchrun has started; gives its device.

    On a machine with GPUs each rank has one of its own. Messages go through NCCL between GPUs, else through gloo.
    """
    here = best_device(device)
    if "RANK" not in os.environ or dist.is_initialized():
        yield here
        return
    if here.type == "mps":  # which several processes would share
        here = torch.device("cpu")
    if here.type == "cuda":
        here = best_device(f"cuda:{os.environ['LOCAL_RANK']}")
        torch.cuda.set_device(here)
    store, number, world_size = next(dist.rendezvous("env://", timeout=LONGEST_WAIT))
    # on one machine torchrun's store outlives a restart, and has the addresses of processes that are gone
    store = dist.PrefixStore(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") if _alone() else "", store)
    backend = "cpu:gloo,cuda:nccl" if here.type == "cuda" else "gloo"
    dist.init_process_group(backend, timeout=LONGEST_WAIT, store=store, rank=number, world_size=world_size)
    try:
        with warnings.catch_warnings():  # it concerns a parameter of a few numbers, whose copy costs nothing
            warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
            yield here
    finally:
        dist.destroy_process_group()


def _alone() -> bool:
    """Whether all ranks are on one machine. On several, each counts restarts of its own."""
    return os.environ.get("GROUP_WORLD_SIZE", "1") == "1"


def rank() -> int:
    """The number of this process, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def ranks() -> int:
    """R, the number of processes that train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def shares(n: int) -> list[int]:
    """How many of n samples each rank draws: n / R, where the first n mod R ranks draw one more.

    Raises:
        ValueError: there are more ranks than samples.

    >>> shares(12)
    [12]
    """
    if n < ranks():
        raise ValueError(f"expected a batch of at least one sample for each of {ranks()} ranks, got one of {n}")
    return [n // ranks() + (r < n % ranks()) for r in range(ranks())]


def own_share(n: int) -> int:
    """How many of a batch of n samples this rank draws."""
    return shares(n)[rank()]


def of_this_rank(x: Tensor) -> Tensor:
    """This rank's share of the rows of a whole batch (n, ...)."""
    before = sum(shares(len(x))[: rank()])
    return x[before : before + own_share(len(x))]


def mean_of_all(loss: Tensor, n: int) -> Tensor:
    """A mean over this rank's share of n samples, scaled so that its mean over the ranks is the mean over all n."""
    return loss * (own_share(n) * ranks() / n) if n % ranks() else loss


def rows_of_all(x: Tensor, n: int) -> Tensor:
    """The rows of all ranks (n, ...), those of rank 0 first, from this rank's share of them.

    For losses that compare all samples of a batch, which every rank then computes as a whole. The other ranks' rows
    have no gradient, and this rank's have R times theirs: so the average over the ranks is the gradient of the loss.

    Raises:
        ValueError: x has more or fewer rows than this rank's share, as where there are fewer samples than in a batch.
    """
    if ranks() == 1:
        return x
    lengths = shares(n)
    if len(x) != lengths[rank()]:
        raise ValueError(f"expected {lengths[rank()]} rows, this rank's share of {n}, got {len(x)}")
    padded = torch.cat([x.detach(), x.new_zeros((lengths[0] - len(x), *x.shape[1:]))])
    found = [torch.empty_like(padded) for _ in lengths]
    dist.all_gather(found, padded)
    rows = [more[:length] for more, length in zip(found, lengths, strict=True)]
    rows[rank()] = own = x.view_as(x)
    if own.requires_grad:
        own.register_hook(lambda gradient: ranks() * gradient)
    return torch.cat(rows)


def texts_of_all(texts: Sequence[str]) -> list[str]:
    """The texts of all ranks, those of rank 0 first."""
    if ranks() == 1:
        return list(texts)
    found: list[Sequence[str]] = [()] * ranks()
    dist.all_gather_object(found, texts)
    return [text for part in found for text in part]


def averaged(values: dict[str, Tensor]) -> dict[str, Tensor]:
    """The means over all ranks of tensors of one shape, which every rank has under the same names."""
    if ranks() == 1 or not values:
        return values
    together = torch.stack([values[name].cpu() for name in sorted(values)])
    dist.all_reduce(together)
    return dict(zip(sorted(values), together / ranks(), strict=True))


def check_agreed(value: Any, what: str) -> None:
    """ValueError: a value differs between ranks, as it does if they do not share a folder."""
    if ranks() > 1:
        found: list[Any] = [None] * ranks()
        dist.all_gather_object(found, value)
        if any(other != found[0] for other in found):
            raise ValueError(f"expected one folder that all ranks share, got {what} {found[0]} and {found}")


def any_rank(flag: bool) -> bool:
    """Whether the flag is true in some rank. It waits for all of them."""
    if ranks() == 1:
        return flag
    found = torch.tensor(int(flag))
    dist.all_reduce(found, dist.ReduceOp.MAX)
    return bool(found)


@contextmanager
def first_rank_first() -> Iterator[None]:
    """Rank 0 runs the block, and then the others: they find the files that it has left."""
    if rank():
        any_rank(False)
    yield
    if not rank():
        any_rank(False)


@contextmanager
def alone_with_all_ranks(folder: Path) -> Iterator[None]:
    """`alone_in` the folder, which rank 0 enters for all ranks.

    They all raise an error if it cannot, and a ValueError if they see different folders.
    """
    failed: Exception | None = None
    with ExitStack() as stack:
        if rank() == 0:
            try:
                stack.enter_context(alone_in(folder))
            except (ValueError, OSError) as error:
                failed = error
        if any_rank(failed is not None):
            raise failed or ValueError(f"expected {folder} for this run alone: see the error of rank 0")
        lock = folder / LOCK
        check_agreed(lock.stat().st_ino if lock.exists() else None, f"{lock} with the inode")
        yield


class _Step(nn.Module):
    """A training step as the forward pass of a module, which is what DistributedDataParallel wraps."""

    def __init__(self, trained: nn.Module, step: Callable[..., Any]):
        super().__init__()
        self.trained, self.step = trained, step

    def forward(self, *args: Any) -> Any:
        return self.step(*args)


def in_parallel(modules: nn.Module, step: Callable[..., Any], in_turn: bool) -> Callable[..., Any]:
    """The step of one rank; after its backward pass the gradients of `modules` are the averages over all ranks.

    `in_turn`: True if some steps use only a part of the parameters. All ranks must use the same part.
    """
    return step if ranks() == 1 else DistributedDataParallel(_Step(modules, step), find_unused_parameters=in_turn)
