"""The command line: `python -m codi_minimal VERB`, with the verbs generate, train, evaluate, … of `arguments`.

It reads and writes ordinary files. Every error is one line on stderr, with exit code 2; CODI_DEBUG=1 in the environment
adds the traceback. Heavy imports wait until a verb needs them, so that `--help` answers at once.
"""

import argparse
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from dataclasses import replace
from importlib import metadata
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from codi_minimal.arguments import PROMPTS, given_options, parser

CAPTION = "a red seven sliding left"
# options that few experiments have
ONLY = {"steps": ("gap", "ablations", "strangers"), "workers": ("together", "given", "ablations"), "split": ("given",)}
PACKAGES = ("torch", "torchvision", "torchaudio", "einops", "numpy", "datasets", "soundfile", "safetensors")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one verb; returns the exit code: 0, 2 for an error, 130 when interrupted, 141 for a broken pipe."""
    for stream in ("stdout", "stderr"):
        if getattr(sys, stream) is None:  # closed, as for a program that no console has started
            setattr(sys, stream, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a console's code page may lack a character of a path
    try:
        try:
            verbs = (generate, train, evaluate, judges, experiment, play, export, benchmark, check, demo)
            args = parser(*verbs).parse_args(argv)
            with warnings.catch_warnings():
                warnings.showwarning = _warn
                args.verb(args)
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains when it closes stdout
        return 141
    except Exception as error:
        if os.environ.get("CODI_DEBUG") == "1":
            traceback.print_exc()
        message = str(error)
        if not isinstance(error, (ValueError, OSError, ImportError, FloatingPointError)):
            message = f"unexpected {type(error).__name__}: {message} (CODI_DEBUG=1 shows where)"
        print(f"error: {' '.join(message.split())}", file=sys.stderr)
        return 2
    return 0


def generate(args: argparse.Namespace) -> None:
    """Any prompts to any outputs, each to OUT/NUMBER-MODALITY; the numbers go up, nothing is replaced."""
    from filelock import FileLock

    from codi_minimal import media
    from codi_minimal.asked import read_asked
    from codi_minimal.inputs import check_seeds, slices
    from codi_minimal.sheet import ROWS, contact_sheet

    model = _model(args)
    asked, given, to = read_asked(args, model.config.model)
    # a list of strings would be one prompt for each sample
    prompts = {name: [[item] if isinstance(item, str) else item for item in items] for name, items in asked.items()}
    left = " + ".join([*asked, *(f"given {name}" for name in given)]) or "nothing"
    drawn = asked | {name: [*asked.get(name, []), item] for name, item in given.items()}
    out, rows, sheet = Path(args.out), [], None
    for batch in slices(args.num):  # so that memory is bounded, and what is done is on disk
        seeds = check_seeds(args.seed, args.num)[batch]
        results = model.generate(
            prompts,
            to,
            weights=dict(args.weights) or None,
            joint=args.joint,
            num_samples=len(seeds),
            seed=seeds,
            given=given or None,
            progress=sys.stderr.isatty(),
            **given_options(args, "guidance", "steps", "sampler"),
        )
        out.mkdir(parents=True, exist_ok=True)
        with FileLock(out / ".lock"):  # another `generate` that writes here takes other numbers
            first = _next_number(out)
            sheet = sheet or out / f"{first:03d}-sheet.png"
            for i in range(len(seeds)):
                sample = {name: items[i] for name, items in results.items()}
                for path in media.write_sample(out, f"{first + i:03d}", sample, gif=args.gif):
                    print(path)
                title = f"{left} → {' + '.join(sample)}"
                rows = [*rows, {"title": title, "prompts": drawn, "outputs": sample}][:ROWS]
    print(contact_sheet(rows, sheet, args.num))


def train(args: argparse.Namespace) -> None:
    """All stages of a preset in order, or some of a checkpoint further; each skipped if done and resumed if begun."""
    from codi_minimal.asked_training import print_estimate, train_as_asked

    if args.estimate:
        print_estimate(args)
        return
    out = train_as_asked(args)
    if os.environ.get("RANK", "0") == "0":  # of the processes that torchrun has started one speaks
        print(out)


def evaluate(args: argparse.Namespace) -> None:
    """The table of results, as JSON, Markdown and a heat map; goes on where it was stopped."""
    from codi_minimal.data import load
    from codi_minimal.device import best_device
    from codi_minimal.evaluation.evaluate import evaluate

    model, cores = _model(args), os.cpu_count() if best_device(args.device).type == "cpu" else 1
    workers, chosen = args.workers or min(4, cores or 1), given_options(args, "checkpoint", "recipe", "autocast")
    if args.pairs is not None:
        from codi_minimal.asked_pairs import report

        print(report(args, model, workers, chosen))
        return
    data = load(args.data, args.split, model.config.train.split_seed)
    sizes = {name: getattr(args, name) for name in ("quick", "samples", "cells", "seed")}
    evaluate(model, data, args.out, **sizes, workers=workers, chosen=chosen, progress=sys.stderr.isatty())
    print(Path(args.out) / "report.md")


def judges(args: argparse.Namespace) -> None:
    """The classifiers that judge what is generated: trained on real renders (or read from OUT), tested on others."""
    from codi_minimal.data import load
    from codi_minimal.evaluation.train_judges import judge_accuracy, train_classifiers

    real, test = load(args.data), load(args.data, "test")
    trained = train_classifiers(real, args.out, args.seed, progress=sys.stderr.isatty())
    for name, right in judge_accuracy(trained, test, args.out)["accuracy"].items():
        print(f"{name}: {right:.4f}")


def experiment(args: argparse.Namespace) -> None:
    """One of the experiments that explain the method."""
    from importlib import import_module

    run = getattr(import_module(f"codi_minimal.experiments.{args.name}"), args.name)
    out = Path(args.out) / args.name
    options = given_options(args, "steps", "samples", "seed", "workers", "split")
    for name in set(options) & set(ONLY):
        if args.name not in ONLY[name]:
            raise ValueError(f"--{name}: expected only with {', '.join(ONLY[name])}, got it with {args.name}")
    run(_model(args), args.data, out, **options, progress=sys.stderr.isatty())
    print(out / f"{args.name}.md")


def play(args: argparse.Namespace) -> None:
    """A local web page where any prompts become any outputs; needs the extra `play`."""
    try:
        from codi_minimal.play.page import launch
    except ImportError as error:
        if error.name != "gradio":
            raise
        raise ImportError("the playground needs Gradio: pip install 'codi-minimal[play]'") from None
    launch(_model(args), args.host, args.port, given_options(args, "checkpoint", "recipe", "autocast"))


def export(args: argparse.Namespace) -> None:
    """Every network as an ONNX file, with a manifest, for programs in other languages; needs the extra `onnx`."""
    from codi_minimal.codi import CoDi
    from codi_minimal.export import check_export, export

    folder = check_export(args.to)  # before a checkpoint is read or fetched
    print(export(CoDi.from_pretrained(args.checkpoint, device="cpu"), folder, progress=sys.stderr.isatty()))


def benchmark(args: argparse.Namespace) -> None:
    """How fast this machine trains and samples, beside a U-Net of diffusers where that is installed."""
    from codi_minimal.benchmark import benchmark

    for line in benchmark(args.device, args.rounds):
        print(line, flush=True)


def check(args: argparse.Namespace) -> None:
    """What is installed, which device, where the data is; and a sample, as proof."""
    from time import perf_counter

    from codi_minimal.data import load
    from codi_minimal.data.sources import HUB
    from codi_minimal.device import best_device

    print(f"python {sys.version.split()[0]}, " + ", ".join(f"{p} {metadata.version(p)}" for p in PACKAGES))
    print(f"device: {best_device(args.device)}")
    found = f"none given: the hub ({', '.join(HUB.values())}), or without a network the built-in sample"
    if folder := args.data or os.environ.get("CODI_DATA"):
        source = load(folder, "test")
        found = f"{folder}: {len(source.digits)} digits and {len(source.spoken)} recordings for testing"
    print(f"data: {found}")
    model, start = _model(args), perf_counter()
    print(f"checkpoint: {sum(p.numel() for p in model.parameters()) / 1e6:.1f} million parameters")
    sample = model.generate({"text": CAPTION}, tuple(PROMPTS))
    print(f'sample: "{CAPTION}" became "{sample["text"][0]}" and more in {perf_counter() - start:.1f} s')


def demo(args: argparse.Namespace) -> None:
    """A handwritten digit and a caption become image, audio, video and text."""
    from codi_minimal.demo import run

    run(_model(args), args.out, args.seed, progress=sys.stderr.isatty())


def _model(args: argparse.Namespace) -> Any:
    """The checkpoint, sampled by `--recipe` and `--autocast` where these are given."""
    from codi_minimal.codi import CoDi
    from codi_minimal.recipe import find_recipe

    model = CoDi.from_pretrained(args.checkpoint, device=args.device)
    recipe = find_recipe(getattr(args, "recipe", None) or model.recipe)
    model.recipe = replace(recipe, autocast=getattr(args, "autocast", None) or recipe.autocast)
    return model


def _warn(message: Warning | str, *_: Any, **__: Any) -> None:
    """One line for each warning."""
    print(f"warning: {' '.join(str(message).split())}", file=sys.stderr)


def _next_number(out: Path) -> int:
    """One more than the highest number that a file in the folder starts with."""
    numbers = (path.name.partition("-")[0] for path in out.iterdir())
    return max((int(n) for n in numbers if n.isdecimal()), default=0) + 1
