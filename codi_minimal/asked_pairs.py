"""What `--pairs` asks for: pairs of one's own to train on, and a report on those that training did not see."""

import argparse
import sys
from pathlib import Path
from typing import Any

from codi_minimal.codi import CoDi
from codi_minimal.config import Config, ModelConfig
from codi_minimal.data import OwnPairs
from codi_minimal.evaluation.report import command
from codi_minimal.evaluation.retrieval import evaluate_pairs
from codi_minimal.media import READERS_OF
from codi_minimal.media.folders import read_pairs


def all_pairs(place: str, config: ModelConfig | None = None) -> OwnPairs:
    """All pairs of a folder, a table or a data set, as a model of this config reads files; None: a new model."""
    progress = sys.stderr.isatty()
    if config is None:
        return read_pairs(place, READERS_OF["plain"], progress=progress).with_stills()
    pairs = read_pairs(place, READERS_OF[config.fit], config.fit, config.max_words, progress)
    return pairs.with_stills() if "image" in config.modalities else pairs


def pairs_to_train(args: argparse.Namespace, config: Config) -> OwnPairs:
    """The share that `train` sees: of a new model with this config, or of the checkpoint that goes on.

    ValueError: --data is there, too.
    """
    if args.data is not None:
        raise ValueError(f"--pairs: expected without --data, got it with {args.data!r}")
    if args.further is None:
        return all_pairs(args.pairs).share("train", config.train.split_seed)
    start = CoDi.from_pretrained(args.further or None, "cpu").config
    return all_pairs(args.pairs, start.model).share("train", start.train.split_seed)


def report(args: argparse.Namespace, model: CoDi, workers: int, options: dict[str, Any]) -> Path:
    """Measures a model on the share that `train` does not see. `options`: for the report's command, which gets more.

    ValueError: an option of the command line that does not go with --pairs.
    """
    if args.quick or args.data or args.cells:
        raise ValueError("--pairs: expected without --quick, --data and --cells, got it with one of them")
    sizes = {name: getattr(args, name) for name in ("samples", "seed") if getattr(args, name) is not None}
    made_by = command("evaluate", **options, pairs=args.pairs, **sizes)
    pairs, progress = all_pairs(args.pairs, model.config.model), sys.stderr.isatty()
    evaluate_pairs(model, pairs, args.out, **sizes, workers=workers, command=made_by, progress=progress)
    return Path(args.out) / "own-pairs.md"
