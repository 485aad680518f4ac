"""The one training loop: every stage is a `step` function given to `fit`.

Killed at any moment, a run goes on from its last save, and on the CPU ends in the same bits as if it had
never been killed: step i draws all its randomness from (seed, i), and all else it needs is on disk. The files
hold the settings of their run, and a run with other settings refuses them.
"""

from __future__ import annotations

import json
import math
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

import torch
from torch import Tensor, nn
from tqdm import tqdm

from codi_minimal.checkpoint import atomic_write, copy_named, digest, read_json, read_tensors, write_tensors
from codi_minimal.device import seed_generator, seed_global, step_seed
from codi_minimal.lock import alone_in
from codi_minimal.training.ema import EMA
from codi_minimal.training.log import Log
from codi_minimal.training.optimizer import SCHEDULES, adamw, learning_rate
from codi_minimal.training.record import FitResult, from_record, to_record
from codi_minimal.training.signals import deferred_signals
from codi_minimal.training.state import load_meta, load_tensors, save_state


def fit(
    modules: nn.Module,
    step: Callable[[int, torch.Generator], dict[str, Tensor]],
    *,
    steps: int,
    lr: float,
    folder: str | Path,
    name: str,
    weight_decay: float = 0.0,
    warmup: int = 100,
    schedule: str = "cosine",
    ema: float | None = 0.999,
    grad_clip: float | None = 1.0,
    seed: int = 0,
    save_seconds: float = 45,
    log_every: int = 20,
    progress: bool = True,
    autocast: str | None = None,
    samples: Callable[[int], None] | None = None,
    sample_every: int = 0,
    betas: tuple[float, float] = (0.9, 0.99),
    depends: Mapping[str, Any] | None = None,
) -> FitResult:
    """Trains the parameters of `modules` that require a gradient, with AdamW, and leaves their EMA in them.

    folder/<name>.state.safetensors is the run in progress; <name>.safetensors (averaged weights, persistent
    buffers) and <name>.json are the finished one, which is loaded, not trained again. folder/log.jsonl and
    folder/tb are its log. One run at a time works in a folder. SIGINT and SIGTERM let the step end, save, and
    then take effect. Whether modules are in training mode is the caller's choice.

    Args:
        modules: often an nn.ModuleDict; frozen parameters in it are neither changed nor saved.
        step: step(i, generator) -> {"loss": the scalar to minimise, …: scalars to log}; the generator, on the
            CPU, depends on (seed, i) alone. For Python's: `random.Random(generator.initial_seed())`.
        steps: how many, in all.
        lr: peak learning rate, finite and >= 0, see `learning_rate`.
        folder: where all files go; stages may share one.
        name: the stage's; names its files.
        weight_decay: of matrices and kernels; biases, gains and scalars are never decayed.
        warmup: steps, at most half of all.
        schedule: "cosine" or "constant".
        ema: decay of the average, see `EMA`; None: the last weights are the result.
        grad_clip: largest norm of the gradient; None does not clip.
        seed: of the batches, the noise and the modules' dropout.
        save_seconds: seconds between saves; 0 saves after every step.
        log_every: steps between log lines, whose losses are means over them.
        progress: show a bar.
        autocast: "bf16" runs `step` in mixed precision.
        samples: samples(steps done), called with the averaged weights in place and modules in eval mode.
        sample_every: steps between its calls; 0 never calls it.
        betas: AdamW's.
        depends: what else the result depends on, such as the data, of JSON types. The files keep it with the
            arguments above; `fit` cannot tell one `step` function from another.

    Raises:
        ValueError: an argument out of range; files that are damaged, or of a run with other settings or modules;
            another run at work in the folder.
        FloatingPointError: a loss, a gradient or a weight is not finite; the last save stays as it was.
    """
    _check(steps=steps, lr=lr, schedule=schedule, autocast=autocast, log_every=log_every, name=name)
    settings = {"steps": steps, "seed": seed, "lr": lr, "betas": betas, "weight_decay": weight_decay, "warmup": warmup,
                "schedule": schedule, "ema": ema, "grad_clip": grad_clip, "autocast": autocast}  # fmt: skip
    settings = {**(depends or {}), **settings}
    folder = Path(folder)
    weights, buffers = _trained(modules)
    trained, finished, summary = {**weights, **buffers}, folder / f"{name}.safetensors", folder / f"{name}.json"
    with alone_in(folder):
        if finished.exists() and summary.exists():
            result = from_record(read_json(summary), settings, summary)
            _load_finished(trained, finished, result.weights)
            if progress:
                tqdm.write(f"{name}: finished before; loaded from {finished}", file=_stream())
            return result

        device = next(iter(weights.values())).device
        optimizer = adamw(weights.values(), lr, betas, weight_decay, device)
        average = None if ema is None else EMA(weights, ema)
        parts = {"weights": weights, "buffers": buffers, "ema": average.shadow if average else {}}
        state_path, result, totals = folder / f"{name}.state.safetensors", FitResult(0, 0.0, {}), {}
        if state_path.exists():
            saved, tensors = load_meta(state_path)
            result = from_record(saved, settings, state_path)
            totals = load_tensors(state_path, tensors, parts, optimizer)

        start, losses_seen = result.steps, result.losses
        began = saved_at = time.monotonic()
        first_bad = torch.tensor(steps, device=device)  # looked at only now and then: a look waits for the device

        def assert_finite() -> None:
            if (bad := int(first_bad)) < steps:
                raise FloatingPointError(f"{name}: the loss or its gradient is not finite at step {bad}")

        def assert_finite_weights(i: int) -> None:  # the loss of step i + 1 would show it, but there may be none
            if not all(tensor.isfinite().all() for tensor in (*trained.values(), *parts["ema"].values())):
                raise FloatingPointError(f"{name}: a weight is not finite after step {i}")

        with (  # the last: dropout draws from global generators, seeded at each step; the caller's come back
            closing(Log(folder, name, start, totals)) as log,
            tqdm(total=steps, initial=start, desc=name, disable=not progress, mininterval=0.5, file=_stream()) as bar,
            deferred_signals() as caught,
            torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
        ):
            for i in range(start, steps):
                seed_global(step_seed(seed, i, "modules"), device)
                generator = seed_generator(step_seed(seed, i, "batch"))
                with torch.autocast(device.type, torch.bfloat16, enabled=autocast == "bf16"):
                    losses = step(i, generator)
                if "loss" not in losses or losses["loss"].ndim:
                    raise ValueError(f"expected step to return a scalar named 'loss'; got {losses}")
                optimizer.zero_grad(set_to_none=True)
                losses["loss"].backward()
                norm = nn.utils.clip_grad_norm_(weights.values(), math.inf if grad_clip is None else grad_clip)
                finite = torch.isfinite(losses["loss"].detach()) & torch.isfinite(norm)
                first_bad = torch.where(finite, first_bad, first_bad.clamp(max=i))
                if device.type == "cpu":
                    assert_finite()

                rate = learning_rate(i, steps, lr, warmup, schedule)
                for group in optimizer.param_groups:
                    group["lr"] = rate
                optimizer.step()
                if average:
                    average.update(i)
                log.add(losses)
                bar.update()

                now = time.monotonic()
                done, seconds = i + 1, result.seconds + now - began
                if done % log_every == 0 or done == steps:
                    assert_finite()
                    losses_seen = log.write(done, lr=rate, seconds=round(seconds, 3))
                    bar.set_postfix(loss=f"{losses_seen['loss']:.4f}")
                if samples is not None and sample_every and done % sample_every == 0:
                    _sample(samples, done, modules, average)
                if caught or now - saved_at >= save_seconds:
                    assert_finite()
                    assert_finite_weights(i)
                    meta = to_record(settings, FitResult(done, seconds, losses_seen))
                    save_state(state_path, meta, parts, optimizer, log.totals)
                    saved_at = time.monotonic()
                if caught:
                    break

        if caught:
            signal.raise_signal(caught[0])  # as if it came now, to whoever handles it
            raise KeyboardInterrupt(f"{name} was stopped by signal {caught[0]}, and saved")
        assert_finite_weights(steps - 1)
        if average:
            average.copy_to()
        if start < steps:
            result = FitResult(steps, seconds, losses_seen)
        result = replace(result, weights=digest(trained))
        write_tensors(finished, trained)
        atomic_write(summary, f"{json.dumps(to_record(settings, result), indent=2)}\n".encode())
        state_path.unlink(missing_ok=True)
        return result


def _stream() -> TextIO:
    """Where bars go: in a notebook, which shows stderr as if it were a warning, to stdout."""
    return sys.stdout if "ipykernel" in sys.modules else sys.stderr


def _check(*, steps: int, lr: float, schedule: str, autocast: str | None, log_every: int, name: str) -> None:
    if steps < 1 or log_every < 1:
        raise ValueError(f"expected steps >= 1 and log_every >= 1; got {steps} and {log_every}")
    if not 0 <= lr < math.inf:
        raise ValueError(f"expected a finite lr >= 0; got {lr}")
    if schedule not in SCHEDULES:
        raise ValueError(f"expected a schedule out of {SCHEDULES}; got {schedule!r}")
    if autocast not in (None, "bf16"):
        raise ValueError(f"expected autocast None or 'bf16'; got {autocast!r}")
    if name in ("", "..") or Path(name).name != name:
        raise ValueError(f"expected a name that can be a file's; got {name!r}")


def _trained(modules: nn.Module) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Parameters that require a gradient, in the optimizer's order (matrices first); persistent buffers."""
    weights = {name: p for name, p in modules.named_parameters() if p.requires_grad}
    if not weights:
        raise ValueError("expected modules with a parameter that requires a gradient; all are frozen")
    persistent = modules.state_dict().keys()
    buffers = {name: b for name, b in modules.named_buffers() if name in persistent}
    return dict(sorted(weights.items(), key=lambda item: item[1].ndim < 2)), buffers


def _load_finished(trained: Mapping[str, Tensor], path: Path, expected: str) -> None:
    tensors, _ = read_tensors(path)
    if digest(tensors) != expected:
        raise ValueError(f"expected weights of the fingerprint {expected} in {path}; got {digest(tensors)}: remove it")
    copy_named(trained, tensors, f"the finished run {path}")


def _sample(samples: Callable[[int], None], done: int, modules: nn.Module, average: EMA | None) -> None:
    modes = {module: module.training for module in modules.modules()}
    modules.eval()
    try:
        with average.swapped() if average else nullcontext(), torch.no_grad():
            samples(done)
    finally:
        for module, mode in modes.items():
            module.training = mode  # not train(mode), which would reach into frozen children
