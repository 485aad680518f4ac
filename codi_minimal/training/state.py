"""A run in progress on disk: all that the next step depends on, in one safetensors file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from codi_minimal.checkpoint import copy_named, digest, parse_json, read_tensors, write_tensors

MOMENTS = ("exp_avg", "exp_avg_sq")  # AdamW's names for its averages of the gradient and of its square


def save_state(
    path: Path,
    meta: dict,
    parts: Mapping[str, Mapping[str, Tensor]],
    optimizer: torch.optim.AdamW,
    totals: Mapping[str, Tensor],
) -> None:
    """Writes meta (JSON, in the file's header), the parts, the optimizer's state, the log's totals, and a digest.

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
    tensors, text = _grouped(groups), json.dumps(meta)
    write_tensors(path, tensors, {"meta": text, "digest": _digest(tensors, text)})


def load_meta(path: Path) -> tuple[dict, dict[str, Tensor]]:
    """Reads a state's meta, and its tensors for `load_tensors`.

    Raises:
        ValueError: the file is broken, or not what `save_state` has written.
    """
    tensors, metadata = read_tensors(path)
    if not {"meta", "digest"} <= set(metadata):
        raise ValueError(f"expected a training state; {path} is none, or of an older version: remove it")
    if _digest(tensors, metadata["meta"]) != metadata["digest"]:
        raise ValueError(f"expected a training state as it was saved; {path} is damaged: remove it")
    return parse_json(metadata["meta"], path), tensors


def load_tensors(
    path: Path,
    tensors: Mapping[str, Tensor],
    parts: Mapping[str, Mapping[str, Tensor]],
    optimizer: torch.optim.AdamW,
) -> dict[str, Tensor]:
    """Puts what `save_state` saved back in its place, in place; returns the log's totals.

    Every tensor gets the memory layout of what it replaces, the optimizer's moments that of their weights. AdamW's
    fused kernels rely on it: on the CPU they walk through the memory of a weight and of its moments side by side,
    whatever the strides; on a GPU they refuse weights, gradients and moments whose strides differ.

    Raises:
        ValueError: the state in `path` is of other modules; names are listed.
    """
    totals = {key.removeprefix("totals:"): value for key, value in tensors.items() if key.startswith("totals:")}
    saved = {key: value for key, value in tensors.items() if not key.startswith("totals:")}
    stepped = {name: w for name, w in parts["weights"].items() if f"adam:step/{name}" in saved}  # had a gradient
    states = {
        name: {"step": torch.zeros(())} | {moment: torch.zeros_like(weight) for moment in MOMENTS}
        for name, weight in stepped.items()
    }
    adam = {f"{key}/{name}": value for name, state in states.items() for key, value in state.items()}
    copy_named(_grouped({**parts, "adam": adam}), saved, f"the run in {path}")
    state = {i: states[name] for i, name in enumerate(parts["weights"]) if name in states}
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return totals


def _digest(tensors: Mapping[str, Tensor], text: str) -> str:
    """One digest of the tensors and of the text, as one more tensor of bytes."""
    return digest({**tensors, "meta": torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8)})


def _grouped(groups: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Groups of tensors as one, by "group:name"."""
    return {f"{group}:{name}": tensor for group, part in groups.items() for name, tensor in part.items()}
