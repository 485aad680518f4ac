"""What experiments share: how they are written down, and how variants of a model come about."""

import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor

from codi_minimal.checkpoint import atomic_write
from codi_minimal.codi import CoDi
from codi_minimal.data import Source, load
from codi_minimal.evaluation.report import plain


def command(name: str, **options: Any) -> str:
    """The command line that makes an experiment again."""
    return f"python -m codi_minimal experiment {name} --data DATA " + " ".join(f"--{k} {v}" for k, v in options.items())


def validation(model: CoDi, data: str | Path | None) -> Source:
    """The validation share of the model's `split_seed`: experiments choose settings, so they leave -test alone."""
    return load(data, "validation", model.config.train.split_seed)


def save(out: Path, name: str, report: Mapping[str, Any], page: str) -> dict[str, Any]:
    """Write name.md and name.json, and return the report as plain JSON types."""
    out.mkdir(parents=True, exist_ok=True)
    report = plain(report)
    (out / f"{name}.md").write_text(page, encoding="utf-8")
    (out / f"{name}.json").write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return report


def share_cache(source: Path, target: Path) -> None:
    """All variants train on the same pairs; they are encoded once."""
    target.mkdir(parents=True, exist_ok=True)
    for path in source.glob("cache-*.safetensors"):
        if not (target / path.name).exists():
            atomic_write(target / path.name, path.read_bytes())


@contextmanager
def zeroed(*buffers: Tensor) -> Iterator[None]:
    """Inside the block these tensors are zero; after it they are back."""
    kept = [buffer.clone() for buffer in buffers]
    for buffer in buffers:
        buffer.zero_()
    try:
        yield
    finally:
        for buffer, values in zip(buffers, kept, strict=True):
            buffer.copy_(values)


def forgetful(model: CoDi) -> AbstractContextManager:
    """Inside the block prompts are taken as they are, not said in captions (`CaptionMemory`)."""
    return zeroed(model.memory.captions)
