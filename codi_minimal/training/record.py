"""What the files of a stage say of its run: all that the result depends on, and how far the run has come."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class FitResult:
    """What a run came to: steps done, seconds they took (over all its parts), losses of the last log line.

    `weights`: the fingerprint of the finished weights and buffers; empty while the run is in progress.
    """

    steps: int
    seconds: float
    losses: dict[str, float]
    weights: str = field(default="", repr=False)


def to_record(run: Mapping[str, Any], result: FitResult) -> dict[str, Any]:
    """What a file holds: the run's settings, and its result so far; of JSON types."""
    return {"run": dict(run), **asdict(result)}


def from_record(record: Mapping[str, Any], run: Mapping[str, Any], path: Path) -> FitResult:
    """The result in a record that was read from `path`, if its run had the same settings as `run`.

    Raises:
        ValueError: the record is of a run with other settings, of an older version, or damaged.
    """
    advice = "remove it, or choose another folder"
    run, had = json.loads(json.dumps(run)), record.get("run")  # as JSON gives it back: lists for tuples
    if not isinstance(had, dict):
        raise ValueError(f"expected the settings of its run in {path}, got none: it is of an older version; {advice}")
    for key in {**run, **had}:
        if had.get(key) != run.get(key):
            raise ValueError(
                f"expected {path} to be of a run with {key} {run.get(key)!r}; got {had.get(key)!r}: {advice}"
            )
    result = {key: record.get(key) for key in ("steps", "seconds", "losses", "weights")}
    if not _is_sound(**result, total=run["steps"]):
        raise ValueError(f"expected steps, seconds, losses and weights of a run in {path}; got {result}: {advice}")
    return FitResult(**result)


def _is_sound(steps: Any, seconds: Any, losses: Any, weights: Any, total: int) -> bool:
    return (
        type(steps) is int
        and 0 <= steps <= total
        and _is_finite(seconds)
        and seconds >= 0
        and isinstance(losses, dict)
        and all(type(loss) in (int, float) for loss in losses.values())  # only "loss" itself must be finite
        and isinstance(weights, str)
        and (not weights or (steps == total and _is_finite(losses.get("loss"))))  # a finished run names its weights
    )


def _is_finite(value: Any) -> bool:
    """Whether it is a number that a finite float can hold: JSON also has longer integers, and true is no number."""
    return type(value) in (int, float) and abs(value) <= sys.float_info.max
