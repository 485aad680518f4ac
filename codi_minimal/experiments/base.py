"""What experiments share: their data, models that are trained anew, and the cache of encoded pairs.

An experiment is a function. It takes the model as trained, which it does not change; the place of the data; a folder
for name.json, name.md and, where it trains, its runs, which resume; the number of samples for each figure; and the seed
of everything. It returns the report, of plain JSON types.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from types import MappingProxyType
from typing import Any

import torch
from tqdm import tqdm

from codi_minimal.checkpoint import atomic_write, fingerprint
from codi_minimal.codi import CoDi
from codi_minimal.data import Source, load
from codi_minimal.evaluation.progress import Progress
from codi_minimal.evaluation.readers import shipped_judges

Place = str | Path | None  # of the data, as `data.load` takes it


def validation(model: CoDi, data: Place) -> Source:
    """The validation share of the model's `split_seed`. Experiments choose settings, so they must not use -test."""
    return load(data, "validation", model.config.train.split_seed)


def untrained(model: CoDi, seed: int, sizes: Mapping[str, Any] = MappingProxyType({}), **changes: Any) -> CoDi:
    """The same model with random weights, and with changes to its sizes and to its settings of training."""
    old = model.config
    config = replace(old, model=replace(old.model, **sizes), train=replace(old.train, **changes))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return CoDi(config, model.vocabulary, model.recipe)


def run_of(model: CoDi, source: Source, **options: Any) -> dict[str, Any]:
    """What all results of a run depend on: weights, judges, data, and the options."""
    prints = {"weights": fingerprint(model), "judges": fingerprint(shipped_judges())}
    return prints | {"source": source.identity} | options


def one_by_one(
    folder: Path, asked: Mapping[str, Mapping[str, Any]], measure: Callable[[str], Any], n: int, progress: bool = True
) -> dict[str, Any]:
    """title → what `measure` finds with n samples. Each has a file in `folder`: a stopped run goes on with the next.

    `asked`: title → all that its result depends on, of plain JSON types; after a change it is measured again.
    """
    found = {}
    for title, inputs in tqdm(asked.items(), desc=folder.name, disable=not progress):
        name = re.sub(r"[^\w.]+", "-", title)
        done = Progress(folder / f"{name}.json", inputs)
        if not done.sections:
            start = perf_counter()
            result = measure(title)
            done.keep(title, result, perf_counter() - start, n)
        found[title] = done.sections[title]["result"]
    return found


def share_cache(source: Path, target: Path) -> None:
    """Copy the cache of encoded pairs: all variants train on the same pairs."""
    target.mkdir(parents=True, exist_ok=True)
    for path in source.glob("cache-*.safetensors"):
        if not (target / path.name).exists():
            atomic_write(target / path.name, path.read_bytes())
