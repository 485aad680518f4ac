"""The log of a run: a JSON line every few steps, and the same numbers for TensorBoard if it is installed."""

import json
from pathlib import Path

import torch
from torch import Tensor

from codi_minimal.checkpoint import atomic_write, check_file, name_in_error


class Log:
    """Averages losses between lines of folder/log.jsonl, which all stages of a folder share.

    Args:
        folder: of log.jsonl, and of tb/<stage> if tensorboard is installed. stage: the "stage" of the lines.
        start: steps already done. Lines of later steps, left by a killed run, are dropped, and all that are no lines.
        writes: whether to write at all; one of several ranks does.
        totals: name -> (sum, count) since the last line. They stay on the losses' device, so that `add` never waits.

    Raises:
        ValueError: log.jsonl is no ordinary file, or tb or tb/<stage> no folder.
    """

    def __init__(
        self, folder: Path, stage: str, start: int = 0, totals: dict[str, Tensor] | None = None, writes: bool = True
    ) -> None:
        self.path, self.stage, self.totals, self.writes = folder / "log.jsonl", stage, dict(totals or {}), writes
        self.tensorboard, place = None, folder / "tb" / stage
        if not writes:
            return
        if self.path.exists():
            check_file(self.path, "a log")
            had = self.path.read_bytes()
            kept = b"".join(line + b"\n" for line in had.splitlines() if _stays(line, stage, start))
            if kept != had:
                atomic_write(self.path, kept)
        try:
            from torch.utils.tensorboard import SummaryWriter

            place.mkdir(parents=True, exist_ok=True)
            self.tensorboard = SummaryWriter(place, purge_step=start or None)
        except ImportError:
            pass
        except (FileExistsError, NotADirectoryError):
            raise ValueError(f"expected a folder in a folder, or nothing, at {place}: remove the file there") from None

    def add(self, losses: dict[str, Tensor]) -> None:
        """Adds one step's scalars."""
        for name, value in losses.items():
            value = torch.as_tensor(value).detach().float()
            total = torch.stack([value, torch.ones_like(value)])
            # the totals of a resumed run come from the CPU
            self.totals[name] = total + self.totals[name].to(total.device) if name in self.totals else total

    def write(self, step: int, **extra: float) -> dict[str, float]:
        """Writes the line of step (steps done), and returns the means of the losses since the last line."""
        means = {name: float(total[0] / total[1]) for name, total in self.totals.items()}
        self.totals = {}
        if not self.writes:
            return means
        # the file is opened for each line, so that a line is on disk whatever happens to the process
        with name_in_error(self.path), open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps({"stage": self.stage, "step": step, **means, **extra}) + "\n")
        if self.tensorboard is not None:
            for name, value in {**means, **extra}.items():
                self.tensorboard.add_scalar(f"{self.stage}/{name}", value, step)
        return means

    def close(self) -> None:
        """Flushes what TensorBoard has not yet written."""
        if self.tensorboard is not None:
            self.tensorboard.close()


def _stays(line: bytes, stage: str, start: int) -> bool:
    """Whether it is a log line, and not one of a step of `stage` that is done again."""
    try:
        entry = json.loads(line)
        found, step = entry["stage"], entry["step"]
        return isinstance(found, str) and isinstance(step, int) and (found != stage or step <= start)
    except (ValueError, RecursionError, TypeError, KeyError):
        return False
