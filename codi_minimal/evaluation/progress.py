"""What an evaluation has measured so far, in a file, so that one that was stopped can go on where it was."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from codi_minimal.checkpoint import atomic_write, read_json
from codi_minimal.evaluation.report import plain
from codi_minimal.evaluation.statistics import Estimate

RECORD = {"value", "n", "interval"}  # the keys of `Estimate.record`


class Progress:
    """Section → its result, the seconds it took and the number of samples it made.

    Args:
        path: the file, which is written anew after each section; None keeps nothing.
        run: all that the results depend on, of plain JSON types; what another run has left is not used.

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
        """What was measured, with its estimates."""
        return estimates(self.sections[section]["result"])

    def add(self, section: str, result: Any, seconds: float, samples: int) -> None:
        """Keep a section that is done."""
        self.sections[section] = {"result": plain(result), "seconds": seconds, "samples": samples}
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            atomic_write(self.path, json.dumps({"run": self.run, "sections": self.sections}).encode())

    def close(self) -> None:
        """Remove the file: the report holds everything."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def estimates(value: Any) -> Any:
    """The inverse of `report.plain`: records become estimates again.

    Raises:
        ValueError: on a record of an impossible estimate.
    """
    return json.loads(json.dumps(value), object_hook=lambda x: Estimate(**x) if set(x) >= RECORD else x)


def _is_sound(section: Any) -> bool:
    """Whether `Progress.add` can have written a section."""
    if not isinstance(section, dict) or set(section) != {"result", "seconds", "samples"}:
        return False
    if not all(isinstance(section[key], (int, float)) for key in ("seconds", "samples")):
        return False
    try:
        return plain(estimates(section["result"])) == section["result"]
    except (TypeError, ValueError, RecursionError):
        return False
