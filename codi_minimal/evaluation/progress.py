"""What an evaluation has measured so far, in a file, so that one that was stopped can go on where it was."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from codi_minimal.checkpoint import atomic_write, read_json
from codi_minimal.evaluation.statistics import Estimate


class Progress:
    """`sections`: title → {"result": …, "seconds": it took, "samples": it made}.

    Args:
        path: the file, which is written anew after each section; None keeps nothing.
        run: all that the results depend on, of plain JSON types; what another run has left is not used.

    Raises:
        ValueError: the file is damaged.
    """

    def __init__(self, path: Path | None, run: Mapping[str, Any]):
        self.path, self.run, self.sections = path, json.loads(json.dumps(run)), {}
        saved = read_json(path) if path is not None and path.exists() else {}
        if saved.get("run") == self.run:
            try:
                for title, found in saved["sections"].items():
                    self.add(title, estimates(found["result"]), float(found["seconds"]), int(found["samples"]))
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                raise ValueError(
                    f"expected the sections of an evaluation in {path}; it is damaged: remove it"
                ) from error

    def add(self, title: str, result: Any, seconds: float, samples: int) -> None:
        """Keep a section that is done; `save` writes it."""
        self.sections[title] = {"result": result, "seconds": seconds, "samples": samples}

    def save(self) -> None:
        """Write all sections so far."""
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            saved = {"run": self.run, "sections": self.sections}
            atomic_write(self.path, json.dumps(saved, default=Estimate.record).encode())

    def close(self) -> None:
        """Remove the file: the report holds everything."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def estimates(value: Any) -> Any:
    """The inverse of `report.plain`: records become estimates again."""
    is_record = {"value", "n", "interval"}.issubset
    return json.loads(json.dumps(value), object_hook=lambda x: Estimate(**x) if is_record(x) else x)
