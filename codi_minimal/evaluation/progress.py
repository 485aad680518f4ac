"""What has been measured so far, in a file, so that a measurement that was stopped can go on where it was."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from codi_minimal.checkpoint import atomic_write, read_json
from codi_minimal.evaluation.statistics import Estimate


class Progress:
    """`sections`: title → {"result": …, "seconds": it took, "samples": it made}.

    Args:
        path: the file, which is written anew after each section.
        run: all that the results depend on, of plain JSON types; what another run has left is not used.

    Raises:
        ValueError: the file is damaged.
    """

    def __init__(self, path: Path, run: Mapping[str, Any]):
        self.path, self.run, self.sections = path, json.loads(json.dumps(run)), {}
        saved = read_json(path) if path.exists() else {}
        if saved.get("run") == self.run:
            try:
                for title, found in estimates(saved["sections"]).items():
                    times = {"seconds": float(found["seconds"]), "samples": int(found["samples"])}
                    self.sections[title] = {"result": found["result"], **times}
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                damaged = f"expected the sections of an evaluation in {path}; it is damaged: remove it"
                raise ValueError(damaged) from error

    def keep(self, title: str, result: Any, seconds: float, samples: int) -> None:
        """Add a section that is done, and write the file."""
        self.sections[title] = {"result": result, "seconds": seconds, "samples": samples}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        saved = {"run": self.run, "sections": self.sections}
        atomic_write(self.path, json.dumps(saved, default=Estimate.record).encode())


def estimates(value: Any) -> Any:
    """Plain JSON types in which the records of estimates (`Estimate.record`) become estimates again."""
    is_record = {"value", "n", "interval"}.issubset
    return json.loads(json.dumps(value), object_hook=lambda x: Estimate(**x) if is_record(x) else x)
