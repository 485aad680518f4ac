"""A run in progress on disk: all that the next step depends on, in one safetensors file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from codi_minimal.checkpoint import copy_named, read_tensors, write_tensors


def save_state(
    path: Path,
    meta: dict,
    parts: Mapping[str, Mapping[str, Tensor]],
    optimizer: torch.optim.Optimizer,
    totals: Mapping[str, Tensor],
) -> None:
    """Writes meta (JSON, in the file's header), the parts, the optimizer's state and the log's totals.

    Args:
        path: the file, written atomically.
        meta: step, seconds and whatever else JSON can hold.
        parts: "weights", "buffers", "ema" -> name -> tensor; the optimizer holds "weights", in their order.
        optimizer: its state is one dict of tensors a weight.
        totals: the log's sums since its last line.
    """
    adam = {
        f"{key}/{name}": value
        for name, weight in parts["weights"].items()
        for key, value in optimizer.state.get(weight, {}).items()
    }
    groups = {**parts, "adam": adam, "totals": totals}
    tensors = {f"{group}:{name}": tensor for group, part in groups.items() for name, tensor in part.items()}
    write_tensors(path, tensors, {"meta": json.dumps(meta)})


def load_meta(path: Path) -> tuple[dict, dict[str, Tensor]]:
    """Reads a state's meta, and its tensors for `load_tensors`.

    Raises:
        ValueError: the file is broken, or no training state.
    """
    tensors, metadata = read_tensors(path)
    if "meta" not in metadata:
        raise ValueError(f"expected a training state; {path} has no meta")
    return json.loads(metadata["meta"]), tensors


def load_tensors(
    tensors: Mapping[str, Tensor],
    parts: Mapping[str, Mapping[str, Tensor]],
    optimizer: torch.optim.Optimizer,
) -> dict[str, Tensor]:
    """Puts what `save_state` saved back in its place, in place; returns the log's totals.

    Raises:
        ValueError: the state is of other modules; names are listed.
    """
    groups: dict[str, dict[str, Tensor]] = {group: {} for group in (*parts, "adam", "totals")}
    for key, tensor in tensors.items():
        group, name = key.split(":", 1)
        groups.setdefault(group, {})[name] = tensor
    for group, part in parts.items():
        copy_named(part, groups[group], f"the run ({group})")
    index = {name: i for i, name in enumerate(parts["weights"])}
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in groups["adam"].items():
        kind, name = key.split("/", 1)
        state.setdefault(index[name], {})[kind] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return groups["totals"]
