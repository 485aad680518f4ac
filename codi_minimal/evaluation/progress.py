"""What an evaluation has measured so far, in a file: one that was stopped goes on where it was."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from codi_minimal.checkpoint import atomic_write, read_json
from codi_minimal.evaluation.report import plain
from codi_minimal.evaluation.statistics import Share


class Progress:
    """Section → its result, the seconds it took and the samples that it made.

    Args:
        path: the file, which is written anew after each section; None: nothing is kept.
        run: all that results depend on, of plain JSON types; what another run has left is not used.

    Raises:
        ValueError: the file is damaged.
    """

    def __init__(self, path: Path | None, run: Mapping[str, Any]):
        self.path, self.run = path, json.loads(json.dumps(run))
        saved = read_json(path) if path is not None and path.exists() else {}
        self.sections: dict[str, dict[str, Any]] = saved.get("sections") if saved.get("run") == self.run else {}
        if not isinstance(self.sections, dict) or not all(map(_is_sound, self.sections.values())):
            raise ValueError(f"expected the sections of an evaluation in {path}; it is damaged: remove it")

    def __contains__(self, section: str) -> bool:
        return section in self.sections

    def result(self, section: str) -> Any:
        """What was measured, with its shares."""
        return shares(self.sections[section]["result"])

    def add(self, section: str, result: Any, seconds: float, samples: int) -> None:
        """Keep a section that is done."""
        self.sections[section] = {"result": plain(result), "seconds": seconds, "samples": samples}
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            atomic_write(self.path, json.dumps({"run": self.run, "sections": self.sections}).encode())

    def close(self) -> None:
        """All is in the report."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def shares(value: Any) -> Any:
    """The inverse of `report.plain`: records of shares are shares again."""
    if isinstance(value, Mapping):
        if set(value) == {"k", "n", "value", "interval"}:
            return Share(value["k"], value["n"])
        return {key: shares(item) for key, item in value.items()}
    return [shares(item) for item in value] if isinstance(value, list) else value


def _is_sound(section: Any) -> bool:
    """Whether a section is one that `Progress.add` has written: its shares must come out as they went in."""
    if not isinstance(section, dict) or set(section) != {"result", "seconds", "samples"}:
        return False
    if not all(isinstance(section[key], (int, float)) for key in ("seconds", "samples")):
        return False
    try:
        return plain(shares(section["result"])) == section["result"]
    except (TypeError, ValueError, ZeroDivisionError, RecursionError):
        return False
