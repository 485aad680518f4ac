"""The one training loop: every stage is a `step` function given to `fit`.

A run that is killed goes on from its last save, and on the CPU it ends in the same bits as if it had never been
killed: step i draws all its randomness from (seed, i), and all else that it needs is on disk.
"""

import json
import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from tqdm import tqdm

from codi_minimal.checkpoint import atomic_write, copy_named, digest, read_json, read_tensors, write_tensors
from codi_minimal.device import seed_generator, seed_global, step_seed
from codi_minimal.training.log import Log
from codi_minimal.training.optimizer import EMA, learning_rate
from codi_minimal.training.ranks import alone_with_all_ranks, any_rank, averaged, check_agreed, in_parallel, rank
from codi_minimal.training.state import FitResult, from_record, load_state, save_state

Step: TypeAlias = Callable[[int, torch.Generator], dict[str, Tensor]]
# the same for all stages; the files keep them, so that a version with others refuses a run of this one
FIXED = {"betas": (0.9, 0.99), "weight_decay": 0.0, "warmup": 100, "schedule": "cosine", "grad_clip": 1.0}


def fit(
    modules: nn.Module,
    step: Step,
    *,
    steps: int,
    lr: float,
    folder: str | Path,
    name: str,
    ema: float | None = 0.999,
    seed: int = 0,
    save_seconds: float = 45,
    log_every: int = 20,
    progress: bool = True,
    autocast: str | None = None,
    samples: Callable[[int], None] | None = None,
    sample_at: Container[int] = (),
    depends: Mapping[str, Any] | None = None,
    in_turn: bool = False,
) -> FitResult:
    """Trains the parameters of `modules` that require a gradient, with AdamW, and leaves their average in them.

    folder/<name>.state.safetensors is the run in progress. <name>.safetensors (averaged weights, persistent buffers)
    and <name>.json are the finished run; they are loaded, and nothing is trained again. One run at a time works in a
    folder. After SIGINT or SIGTERM the step ends, the run is saved, and then the signal takes effect. Several ranks
    (see `ranks`) average their gradients, and rank 0 writes the files.

    Args:
        modules: often an nn.ModuleDict, in training mode; frozen parameters in it are neither changed nor saved.
        step: step(i, generator) -> {"loss": the scalar to minimise, …: scalars to log}. The generator, on the CPU,
            depends on (seed, i, rank) alone. For Python's randomness take `random.Random(generator.initial_seed())`.
        steps: how many, in all. lr: peak learning rate, finite and >= 0, see `learning_rate`.
        folder: where all files and the log go; stages may share one. name: the stage's; names its files.
        ema: decay of the average, see `EMA`; None or 0: the last weights are the result.
        seed: of batches, noise and dropout. save_seconds: seconds between saves; 0 saves after every step.
        log_every: steps between log lines, whose losses are means over them. progress: whether to show a bar.
        autocast: "bf16" runs `step` in mixed precision.
        samples: samples(steps done), called after the steps in `sample_at`, with the averaged weights in place and
            modules in eval mode.
        depends: what else the result depends on, such as the data, of JSON types: `fit` cannot see into `step`.
        in_turn: True if some steps use only a part of the parameters, which several ranks have to know.

    Raises:
        ValueError: an argument out of range; files that are damaged, or of a run with other settings or modules;
            another run at work in the folder.
        FloatingPointError: a loss, a gradient or a weight is not finite. The last save stays as it was.
    """
    if steps < 1 or log_every < 1:
        raise ValueError(f"expected steps >= 1 and log_every >= 1; got {steps} and {log_every}")
    if not 0 <= lr < math.inf:
        raise ValueError(f"expected a finite lr >= 0; got {lr}")
    if autocast not in (None, "bf16"):
        raise ValueError(f"expected autocast None or 'bf16'; got {autocast!r}")
    if name in ("", "..") or Path(name).name != name:
        raise ValueError(f"expected a name that can be a file's; got {name!r}")
    settings = {**(depends or {}), "steps": steps, "seed": seed, "lr": lr, "ema": ema, "autocast": autocast, **FIXED}
    weights = {key: p for key, p in modules.named_parameters() if p.requires_grad}
    if not weights:
        raise ValueError("expected modules with a parameter that requires a gradient; all are frozen")
    # matrices first: the order decides how norms are rounded
    weights, persistent = dict(sorted(weights.items(), key=lambda item: item[1].ndim < 2)), modules.state_dict()
    buffers = {key: b for key, b in modules.named_buffers() if key in persistent}
    trained, folder = {**weights, **buffers}, Path(folder)
    finished, summary, state = (folder / f"{name}.{end}" for end in ("safetensors", "json", "state.safetensors"))
    stream = sys.stdout if "ipykernel" in sys.modules else sys.stderr  # a notebook shows stderr as if it were a warning
    progress = progress and rank() == 0
    with alone_with_all_ranks(folder):
        done_before = finished.exists() and summary.exists()
        check_agreed(done_before, "a finished stage:")
        if done_before:
            result, (tensors, _) = from_record(read_json(summary), settings, summary), read_tensors(finished)
            if (came := digest(tensors)) != (wanted := result.weights):
                raise ValueError(f"expected weights of the fingerprint {wanted} in {finished}; got {came}: remove it")
            copy_named(trained, tensors, f"the finished run {finished}")
            if progress:
                tqdm.write(f"{name}: finished before; loaded from {finished}", file=stream)
            return result

        device, average = next(iter(weights.values())).device, EMA(weights, ema or 0.0)
        fused = device.type in ("cpu", "cuda")  # on the CPU three times as fast as foreach
        optimizer = torch.optim.AdamW(weights.values(), lr, FIXED["betas"], weight_decay=0.0, fused=fused)
        parts = {"weights": weights, "buffers": buffers, "ema": average.shadow}
        result, totals = FitResult(0, 0.0, {}, run=settings), {}
        if state.exists():
            result, totals = load_state(state, settings, parts, optimizer)
        check_agreed(result.steps, "steps done:")
        step, of_rank = in_parallel(modules, step, in_turn), f" of rank {rank()}" if rank() else ""
        start, saved_at = result.steps, time.monotonic()
        began = saved_at - result.seconds
        stop = False
        first_bad = torch.full((), steps, device=device)  # it is read only now and then: reading waits for the device

        def check(after: int | None = None) -> None:
            """Losses and gradients so far are finite, and so are the weights after a step."""
            if (bad := int(first_bad)) < steps:
                raise FloatingPointError(f"{name}: the loss or its gradient is not finite at step {bad}")
            # the next loss would show it, but there may be none
            if after is not None and not all(x.isfinite().all() for x in (*trained.values(), *average.shadow.values())):
                raise FloatingPointError(f"{name}: a weight is not finite after step {after}")

        with (  # the last: dropout draws from global generators, seeded at each step; the caller's come back
            closing(Log(folder, name, start, totals, writes=rank() == 0)) as log,
            tqdm(total=steps, initial=start, desc=name, disable=not progress, mininterval=0.5, file=stream) as bar,
            deferred_signals() as caught,
            torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
        ):
            for i in range(start, steps):
                seed_global(step_seed(seed, i, f"modules{of_rank}"), device)
                generator = seed_generator(step_seed(seed, i, f"batch{of_rank}"))
                with torch.autocast(device.type, torch.bfloat16, enabled=autocast == "bf16"):
                    losses = step(i, generator)
                if "loss" not in losses or losses["loss"].ndim:
                    raise ValueError(f"expected step to return a scalar named 'loss'; got {losses}")
                optimizer.zero_grad(set_to_none=True)
                losses["loss"].backward()
                norm = nn.utils.clip_grad_norm_(weights.values(), FIXED["grad_clip"])
                finite = torch.isfinite(losses["loss"].detach()) & torch.isfinite(norm)
                first_bad = torch.where(finite, first_bad, first_bad.clamp(max=i))
                if device.type == "cpu":
                    check()
                optimizer.param_groups[0]["lr"] = rate = learning_rate(i, steps, lr, FIXED["warmup"])
                optimizer.step()
                average.update(i)
                log.add(losses)
                del losses  # with them, all that the backward needed would stay for the next step
                bar.update()

                done, now = i + 1, time.monotonic()
                result = replace(result, steps=done, seconds=now - began)
                if done % log_every == 0 or done == steps:
                    check()
                    log.totals = averaged(log.totals)
                    result = replace(result, losses=log.write(done, lr=rate, seconds=round(result.seconds, 3)))
                    bar.set_postfix(loss=f"{result.losses['loss']:.4f}")
                if samples is not None and done in sample_at:
                    _sample(samples, done, modules, average)
                stop = any_rank(bool(caught))
                if stop or now - saved_at >= save_seconds:
                    check(i)
                    if rank() == 0:  # its own sums of losses count for all: the first line after a resume is a bit off
                        save_state(state, result, parts, optimizer, log.totals)
                    saved_at = time.monotonic()
                if stop:
                    break

        if stop:
            number = caught[0] if caught else signal.SIGTERM  # it came to another rank
            signal.raise_signal(number)  # as if it came now, to whoever handles it
            raise KeyboardInterrupt(f"{name} was stopped by signal {number}, and saved")
        check(steps - 1)
        average.swap()
        result = replace(result, weights=digest(trained))
        if rank() == 0:
            write_tensors(finished, trained)
            atomic_write(summary, f"{json.dumps(asdict(result), indent=2)}\n".encode())
            state.unlink(missing_ok=True)
        any_rank(False)  # all wait for the files
        return result


@contextmanager
def deferred_signals() -> Iterator[list[int]]:
    """Inside the block a SIGINT or SIGTERM is only noted, in the list given; a SIGINT after another signal interrupts.

    If a signal interrupted the optimizer, the weights would belong to no step and could not be saved. A scheduler and
    torchrun may each send SIGTERM, so a second one does not interrupt. Signals that are ignored stay so. Outside the
    main thread, where Python delivers none, nothing is done.
    """
    caught: list[int] = []

    def note(signum, frame):
        if caught and signum == signal.SIGINT:
            raise KeyboardInterrupt
        caught.append(signum)

    signums = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    handled = [signum for signum in signums if signal.getsignal(signum) not in (signal.SIG_IGN, None)]
    previous = {signum: signal.signal(signum, note) for signum in handled}
    try:
        yield caught
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)


def _sample(samples: Callable[[int], None], done: int, modules: nn.Module, average: EMA) -> None:
    modes = {module: module.training for module in modules.modules()}
    modules.eval()
    average.swap()
    try:
        with torch.no_grad():
            samples(done)
    finally:
        average.swap()
        for module, mode in modes.items():
            module.training = mode  # train(mode) would change frozen children, too
