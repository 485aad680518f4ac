"""What experiments share: their data, their files, and the cache of encoded pairs."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from codi_minimal.checkpoint import atomic_write
from codi_minimal.codi import CoDi
from codi_minimal.data import Source, load
from codi_minimal.evaluation.report import plain


def command(name: str, **options: Any) -> str:
    """The command line that repeats an experiment."""
    given = (f"--{k} {v}" for k, v in options.items() if v is not None)
    return " ".join((f"python -m codi_minimal experiment {name} --data DATA", *given))


def validation(model: CoDi, data: str | Path | None) -> Source:
    """The validation share of the model's `split_seed`. Experiments choose settings, so they must not use -test."""
    return load(data, "validation", model.config.train.split_seed)


def save(out: Path, name: str, report: Mapping[str, Any], page: str) -> dict[str, Any]:
    """Write name.md and name.json, and return the report as plain JSON types."""
    out.mkdir(parents=True, exist_ok=True)
    report = plain(report)
    (out / f"{name}.md").write_text(page, encoding="utf-8")
    (out / f"{name}.json").write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return report


def share_cache(source: Path, target: Path) -> None:
    """Copy the cache of encoded pairs: all variants train on the same pairs."""
    target.mkdir(parents=True, exist_ok=True)
    for path in source.glob("cache-*.safetensors"):
        if not (target / path.name).exists():
            atomic_write(target / path.name, path.read_bytes())
