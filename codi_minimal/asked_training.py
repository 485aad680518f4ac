"""What `train` asks for: a preset from nothing, stages of a checkpoint further, or how long it would take."""

import argparse
import sys
from dataclasses import replace

from codi_minimal.arguments import given_options
from codi_minimal.asked_pairs import pairs_to_train
from codi_minimal.config import Config
from codi_minimal.training import stages
from codi_minimal.training.estimate import estimate
from codi_minimal.training.side_by_side import train_side_by_side


def print_estimate(args: argparse.Namespace) -> None:
    """Minutes of each stage of a preset; ValueError: an option that does not go with --estimate."""
    for name, value in given_options(args, "stages", "further", "pairs", "workers").items():
        raise ValueError(f"--{name}: expected none with --estimate, which times a whole preset, got {value!r}")
    minutes = estimate(args.preset, args.data, args.device, progress=sys.stderr.isatty())
    for name, value in [*minutes.items(), ("all", sum(minutes.values()))]:
        print(f"{name:20} {value:6.1f} minutes")


def train_as_asked(args: argparse.Namespace) -> str:
    """Trains; returns the folder. ValueError: options that do not go together."""
    seed, out = given_options(args, "seed"), args.out or ("runs/small" if args.further is None else "runs/further")
    config = _config(args)
    data = args.data if args.pairs is None else pairs_to_train(args, config)
    if args.further is not None:
        some = args.stages or (() if args.pairs is None else None)
        stages.train_further(some, args.further or None, data, out, args.device, args.steps, **seed)
    elif args.steps is not None:
        raise ValueError(f"--steps: expected only with --further, because a preset has its own, got {args.steps}")
    elif args.workers not in (None, 1):
        train_side_by_side(config, data, out, args.device, **seed, workers=args.workers)
    else:
        stages.train(config, data, out, device=args.device, stages=args.stages, **seed)
    return out


def _config(args: argparse.Namespace) -> Config:
    config = stages.in_order(args.preset)
    for option, others in {"synthetic_voices": ("further", "pairs"), "workers": ("further", "stages")}.items():
        for name, value in given_options(args, *others).items() if getattr(args, option) else ():
            shown = option.replace("_", "-")
            raise ValueError(f"--{shown}: expected only without --{name}, got it with {value!r}")
    return replace(config, train=replace(config.train, synthetic_voices=args.synthetic_voices))
