"""What a run says of itself: one JSON line now and then, and the same numbers for TensorBoard."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import torch
from torch import Tensor

from codi_minimal.checkpoint import atomic_write, check_file, name_in_error


class Log:
    """Averages losses between lines of folder/log.jsonl, which all stages of a folder share.

    Args:
        folder: log.jsonl, and tb/<stage> when tensorboard is installed, are written here.
        stage: the lines' "stage".
        start: steps already done. Lines beyond them, left by a run that was killed, are dropped, and so are lines of
            any stage that are no log lines.
        totals: name -> (sum, count) since the last line, on the losses' device, so that adding never waits.

    Raises:
        ValueError: log.jsonl is no ordinary file, or tb or tb/<stage> no folder.
    """

    def __init__(self, folder: Path, stage: str, start: int = 0, totals: dict[str, Tensor] | None = None) -> None:
        self.path, self.stage = folder / "log.jsonl", stage
        self.totals = dict(totals or {})
        _drop_lines(self.path, stage, start)
        self.tensorboard = _tensorboard(folder / "tb" / stage, start)

    def add(self, losses: dict[str, Tensor]) -> None:
        """Takes in one step's scalars."""
        for name, value in losses.items():
            value = torch.as_tensor(value).detach().float()
            total = torch.stack([value, torch.ones_like(value)])
            if name in self.totals:
                total += self.totals[name].to(total.device)  # a no-op but after a resume
            self.totals[name] = total

    def write(self, step: int, **extra: float) -> dict[str, float]:
        """Writes the line of step (steps done), and returns the means of the losses since the last line."""
        means = {name: float(total[0] / total[1]) for name, total in self.totals.items()}
        self.totals = {}
        # opened for each line: what is written is on disk, whatever happens to the process
        with name_in_error(self.path), open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps({"stage": self.stage, "step": step, **means, **extra}) + "\n")
        if self.tensorboard is not None:
            with name_in_error(Path(self.tensorboard.log_dir)):
                for name, value in {**means, **extra}.items():
                    self.tensorboard.add_scalar(f"{self.stage}/{name}", value, step)
        return means

    def close(self) -> None:
        """Flushes what TensorBoard has not yet written."""
        if self.tensorboard is not None:
            with name_in_error(Path(self.tensorboard.log_dir)):
                self.tensorboard.close()


def _drop_lines(path: Path, stage: str, start: int) -> None:
    if not path.exists():
        return
    check_file(path, "a log")
    had = path.read_bytes()
    kept = (line for line in had.splitlines() if (entry := _entry(line)) and (entry[0] != stage or entry[1] <= start))
    if (lines := b"".join(line + b"\n" for line in kept)) != had:
        atomic_write(path, lines)


def _entry(line: bytes) -> tuple[str, int] | None:
    """Stage and step of a line; None if it is no log line, as one that a killed process has begun."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    stage, step = (entry.get("stage"), entry.get("step")) if isinstance(entry, dict) else (None, None)
    return (stage, step) if isinstance(stage, str) and isinstance(step, int) else None


def _tensorboard(folder: Path, start: int):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise ValueError(f"expected a folder in a folder, or nothing, at {folder}: remove the file there") from None
    with name_in_error(folder):
        return SummaryWriter(folder, purge_step=start or None)
