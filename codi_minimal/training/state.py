"""What the files of a stage hold: the settings of its run, its result so far, and all that its next step needs."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, field
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import torch
from pydantic import Field
from torch import Tensor
from torch.optim import AdamW

from codi_minimal.checkpoint import copy_named, digest, parse_json, read_tensors, write_tensors
from codi_minimal.config import checked, from_plain

ADVICE = "remove it, or choose another folder"
Parts: TypeAlias = Mapping[str, Mapping[str, Tensor]]


@checked
class FitResult:
    """What a run came to: steps done, the seconds that they took in all, and the losses of the last log line.

    `weights`: the fingerprint of the finished weights and buffers; empty while the run is in progress. `run`: settings.
    """

    steps: Annotated[int, Field(ge=0)]
    seconds: Annotated[float, Field(ge=0)]
    losses: dict[str, Annotated[float, Field(allow_inf_nan=True)]]  # only "loss" itself must be finite
    weights: str = field(default="", repr=False)
    run: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)


def from_record(record: Mapping[str, Any], run: Mapping[str, Any], path: Path) -> FitResult:
    """The result in a record read from `path`; ValueError if it is damaged, or of a run with other settings."""
    result, run = from_plain(FitResult, record, str(path)), json.loads(json.dumps(run))  # JSON turns tuples into lists
    for key in {**run, **result.run}:
        if (had := result.run.get(key)) != (wanted := run.get(key)):
            raise ValueError(f"expected {path} to be of a run with {key} {wanted!r}; got {had!r}: {ADVICE}")
    whole = result.steps == run["steps"] and math.isfinite(result.losses.get("loss", math.nan))
    if result.steps > run["steps"] or (result.weights and not whole):
        raise ValueError(f"expected a result of {run['steps']} steps in {path}; got {result}: {ADVICE}")
    return result


def save_state(path: Path, result: FitResult, parts: Parts, optimizer: AdamW, totals: dict[str, Tensor]) -> None:
    """Writes a run in progress as one safetensors file, atomically, with a digest of all that is in it.

    `parts`: "weights", "buffers", "ema" -> name -> tensor; the optimizer holds "weights". `totals`: the log's sums.
    """
    tensors, text = _tensors({**parts, "totals": totals}, optimizer), json.dumps(asdict(result))
    write_tensors(path, tensors, {"meta": text, "digest": _digest(tensors, text)})


def load_state(
    path: Path, run: Mapping[str, Any], parts: Parts, optimizer: AdamW
) -> tuple[FitResult, dict[str, Tensor]]:
    """Copies what `save_state` wrote into `parts` and the optimizer, in place; returns the result and the log's totals.

    All tensors keep their memory layouts, and each moment of the optimizer gets that of its weight. AdamW's fused
    kernels rely on it: on the CPU they ignore the strides, and on a GPU they refuse strides that differ.

    Raises:
        ValueError: the file is damaged, of an older version, or of a run with other settings or modules.
    """
    tensors, metadata = read_tensors(path)
    if not {"meta", "digest"} <= set(metadata):
        raise ValueError(f"expected a training state; {path} is none, or of an older version: remove it")
    if _digest(tensors, metadata["meta"]) != metadata["digest"]:
        raise ValueError(f"expected a training state as it was saved; {path} is damaged: remove it")
    result = from_record(parse_json(metadata["meta"], path), run, path)
    totals = {key.removeprefix("totals:"): tensors.pop(key) for key in list(tensors) if key.startswith("totals:")}
    for name, weight in parts["weights"].items():
        if f"adam:step/{name}" in tensors:  # a weight without a gradient has no moments
            moments = {key: torch.zeros_like(weight) for key in ("exp_avg", "exp_avg_sq")}
            optimizer.state[weight] = {"step": torch.zeros((), device=weight.device), **moments}
    copy_named(_tensors(parts, optimizer), tensors, f"the run in {path}")
    return result, totals


def _tensors(parts: Parts, optimizer: AdamW) -> dict[str, Tensor]:
    """All tensors of the parts and of the optimizer, by "part:name"."""
    states = {name: optimizer.state.get(weight, {}) for name, weight in parts["weights"].items()}
    adam = {f"{key}/{name}": value for name, state in states.items() for key, value in state.items()}
    return {f"{part}:{name}": x for part, named in {**parts, "adam": adam}.items() for name, x in named.items()}


def _digest(tensors: Mapping[str, Tensor], text: str) -> str:
    """One digest of the tensors and of the text, which counts as one more tensor of bytes."""
    return digest({**tensors, "meta": torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8)})
