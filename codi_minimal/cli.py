"""The command line: `python -m codi_minimal generate | train | evaluate | judges | experiment | check | demo`.

Ordinary files in, ordinary files out. Whatever goes wrong is said in one line on stderr, with exit code 2.
Heavy imports wait until a verb needs them, so that `--help` answers at once.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, NoReturn

PROMPTS = {
    "text": "a caption, or a .txt file",
    "image": "a picture: PNG, JPEG, WebP, BMP; any size",
    "audio": "a recording: WAV, FLAC, OGG, MP3; any rate",
    "video": "a clip: GIF, or MP4 with the extra `video`",
}
CAPTION = "a red seven sliding left"
EXPERIMENTS = {
    "gap": "the modality gap, and what closes it",
    "memory": "prompts as they are, or said in captions",
    "wiring": "which streams see each other while they are generated",
    "bridge": "streams that were never trained together",
    "sampling": "guidance, steps and samplers",
    "probe": "what V knows of noisy latents",
}
TRAINS = ("gap", "wiring")
PACKAGES = ("torch", "torchvision", "torchaudio", "einops", "numpy", "datasets", "soundfile", "safetensors")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one verb; returns the exit code: 0, 2 for an error, 130 when interrupted."""
    args = _parser().parse_args(argv)
    try:
        args.verb(args)
    except (ValueError, OSError, ImportError) as error:
        return _fail(error)
    except KeyboardInterrupt:
        return 130
    return 0


def generate(args: argparse.Namespace) -> None:
    """Any prompts to any outputs, each to OUT/NUMBER-MODALITY; the numbers go up, nothing is replaced."""
    from codi_minimal import media
    from codi_minimal.sheet import contact_sheet

    read = {"text": _caption, "image": media.read_image, "audio": media.read_audio, "video": media.read_video}
    given = {name: [read[name](value) for value in getattr(args, name)] for name in PROMPTS}
    given = {name: items for name, items in given.items() if items}
    weights = _weights(args.weights)
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    names = ("guidance", "steps", "sampler", "stagger", "arrivals", "autocast")
    options = {name: getattr(args, name) for name in names}
    results = _model(args).generate(
        {name: [_batch(item) for item in items] for name, items in given.items()},
        tuple(dict.fromkeys(args.to)),
        weights=weights,
        joint=args.joint,
        num_samples=args.num,
        seed=args.seed,
        progress=sys.stderr.isatty(),
        **{name: value for name, value in options.items() if value is not None},
    )
    rows, first = [], _next_number(out)
    for i in range(args.num):
        sample = {name: batch[i] for name, batch in results.items()}
        for path in media.write_sample(out, f"{first + i:03d}", sample, mp4=args.mp4):
            print(path)
        title = f"{' + '.join(given) or 'nothing'} → {' + '.join(sample)}"
        rows.append({"title": title, "prompts": given, "outputs": sample})
    print(contact_sheet(rows, out / f"{first:03d}-sheet.png"))


def train(args: argparse.Namespace) -> None:
    """All stages of a preset in order, each skipped if done and resumed if begun."""
    from codi_minimal.training.stages import train

    train(args.preset, args.data, args.out, device=args.device, stages=args.stages)
    print(args.out)


def evaluate(args: argparse.Namespace) -> None:
    """The table of results, as JSON, Markdown and a heat map; goes on where it was stopped."""
    from codi_minimal.device import best_device
    from codi_minimal.evaluation.evaluate import evaluate

    options = {"quick": args.quick, "samples": args.samples, "cells": args.cells, "seed": args.seed}
    given = {name: getattr(args, name) for name in ("stagger", "arrivals", "autocast")}
    options["options"] = {name: value for name, value in given.items() if value is not None}
    on_cpu = best_device(args.device).type == "cpu"
    options["workers"] = args.workers or (min(4, os.cpu_count() or 1) if on_cpu else 1)
    evaluate(_model(args), args.data, args.out, **options, progress=sys.stderr.isatty())
    print(Path(args.out) / "report.md")


def judges(args: argparse.Namespace) -> None:
    """The classifiers that judge what is generated: trained on real renders (or read from OUT), tested on others."""
    from codi_minimal.data import load
    from codi_minimal.evaluation.train_judges import judge_accuracy, train_classifiers

    trained = train_classifiers(load(args.data), args.out, args.seed, progress=sys.stderr.isatty())
    for name, right in judge_accuracy(trained, load(args.data, "test"), args.out)["accuracy"].items():
        print(f"{name}: {right:.4f}")


def experiment(args: argparse.Namespace) -> None:
    """One of the experiments that explain the method."""
    from importlib import import_module

    run = getattr(import_module(f"codi_minimal.experiments.{args.name}"), args.name)
    out = Path(args.out) / args.name
    options = {"steps": args.steps, "samples": args.samples, "seed": args.seed}
    options = {name: value for name, value in options.items() if value is not None}
    if "steps" in options and args.name not in TRAINS:
        raise ValueError(f"--steps: expected only with {', '.join(TRAINS)}, which train, got it with {args.name}")
    run(_model(args), args.data, out, **options, progress=sys.stderr.isatty())
    print(out / f"{args.name}.md")


def check(args: argparse.Namespace) -> None:
    """What is installed, which device, where the data is; and a sample, as proof."""
    from time import perf_counter

    from codi_minimal.device import best_device

    print(f"python {sys.version.split()[0]}, " + ", ".join(f"{p} {metadata.version(p)}" for p in PACKAGES))
    print(f"device: {best_device(args.device)}")
    print(f"data: {_where_data_is(args.data)}")
    model, start = _model(args), perf_counter()
    print(f"checkpoint: {sum(p.numel() for p in model.parameters()) / 1e6:.1f} million parameters")
    sample = model.generate({"text": CAPTION}, tuple(PROMPTS))
    print(f'sample: "{CAPTION}" became "{sample["text"][0]}" and more in {perf_counter() - start:.1f} s')


def demo(args: argparse.Namespace) -> None:
    """A handwritten digit and a caption become image, audio, video and text."""
    from codi_minimal.demo import run

    run(_model(args), args.out, args.seed, progress=sys.stderr.isatty())


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        sys.exit(_fail(message))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m codi_minimal", description="CoDi, small: any to any, by diffusion.")
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    def verb(run: Any, out: str | None = None, device: bool = True) -> argparse.ArgumentParser:
        sub = verbs.add_parser(run.__name__, help=run.__doc__, description=run.__doc__)
        sub.set_defaults(verb=run)
        if device:
            sub.add_argument("--device", help="cpu, cuda, mps; chosen automatically")
        if out:
            sub.add_argument("--out", default=out, help="folder for what is written (default: %(default)s)")
        return sub

    def checkpoint(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("--checkpoint", help="folder or hub id (default: the checkpoint that ships)")

    def data(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("--data", help="folder of parquet files (default: CODI_DATA, the hub or a sample)")

    def arrivals(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("--no-arrivals", dest="arrivals", action="store_false", default=None,
                         help="an output that is done stays a stream, and is no prompt for the others")  # fmt: skip

    sub = verb(generate, "out")
    checkpoint(sub)
    for name, what in PROMPTS.items():
        sub.add_argument(f"--{name}", action="append", default=[], help=f"{what}; may be repeated")
    sub.add_argument("--to", nargs="+", choices=PROMPTS, default=list(PROMPTS), help="outputs (default: all)")
    sub.add_argument("--weights", nargs="+", default=[], metavar="NAME=W", help="as text=1 audio=0.5")
    sub.add_argument("--guidance", type=float, help="1: none; more: closer to the prompts")
    sub.add_argument("--steps", type=_positive, help="of the sampler")
    sub.add_argument("--sampler", choices=("ddim", "dpm-solver++", "ddpm"))
    sub.add_argument("--stagger", type=float, help="how much later each output starts than the one before: 0 to 1")
    arrivals(sub)
    sub.add_argument("--autocast", choices=("bf16",), help="denoise in bfloat16")
    sub.add_argument("--seed", type=int, default=0)
    sub.add_argument("--num", type=_positive, default=1, help="samples (default: 1)")
    sub.add_argument("--no-joint", dest="joint", action="store_false", help="make each output by itself")
    sub.add_argument("--mp4", action="store_true", help="write MP4 rather than GIF; needs the extra `video`")

    sub = verb(train, "runs/small")
    data(sub)
    sub.add_argument("--preset", default="small", help="tiny, small or base (default: small)")
    sub.add_argument("--stages", nargs="+", help="only these (default: all, in order)")

    sub = verb(evaluate, "results")
    checkpoint(sub)
    data(sub)
    sub.add_argument("--quick", action="store_true", help="few samples: five minutes on two cores")
    sub.add_argument("--samples", type=_positive, help="for each single-prompt cell, several prompts, and joint figure")
    sub.add_argument("--cells", type=_positive, help="samples for each of the 225 cells")
    sub.add_argument("--stagger", type=float, help="as in generate; 0: all outputs start at once")
    arrivals(sub)
    sub.add_argument("--autocast", choices=("bf16",), help="as in generate: faster where the processor computes in it")
    sub.add_argument("--workers", type=_positive, help="processes (default: one a core, at most 4; on a GPU 1)")
    sub.add_argument("--seed", type=int, default=0)

    sub = verb(judges, "results/judges", device=False)
    data(sub)
    sub.add_argument("--seed", type=int, default=0)

    sub = verb(experiment, "results")
    checkpoint(sub)
    data(sub)
    sub.add_argument("name", choices=EXPERIMENTS, help="; ".join(f"{k}: {v}" for k, v in EXPERIMENTS.items()))
    sub.add_argument("--steps", type=_positive, help="of training, for each variant")
    sub.add_argument("--samples", type=_positive, help="for each figure")
    sub.add_argument("--seed", type=int, default=0)

    sub = verb(check)
    checkpoint(sub)
    data(sub)

    sub = verb(demo, "demo")
    checkpoint(sub)
    sub.add_argument("--seed", type=int, default=0)
    return parser


def _model(args: argparse.Namespace) -> Any:
    from codi_minimal.codi import CoDi

    return CoDi.from_pretrained(args.checkpoint, device=args.device)


def _fail(error: object) -> int:
    print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
    return 2


def _caption(value: str) -> str:
    from codi_minimal.media import read_text

    return read_text(value) if value.endswith(".txt") else value


def _batch(item: Any) -> Any:
    return [item] if isinstance(item, str) else item[None]


def _positive(value: str) -> int:
    if not value.isdigit() or int(value) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of 1 or more, got {value!r}")
    return int(value)


def _weights(pairs: Sequence[str]) -> dict[str, float] | None:
    weights = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        try:
            weights[name] = float(value)
        except ValueError:
            raise ValueError(f"--weights: expected NAME=NUMBER, as text=1 audio=0.5, got {pair!r}") from None
    return weights or None


def _next_number(out: Path) -> int:
    """One more than the highest number that a file in the folder starts with."""
    numbers = (path.name.partition("-")[0] for path in out.iterdir())
    return max((int(n) for n in numbers if n.isdecimal()), default=0) + 1


def _where_data_is(folder: str | None) -> str:
    from codi_minimal.data import load
    from codi_minimal.data.sources import HUB

    if folder := folder or os.environ.get("CODI_DATA"):
        source = load(folder, "test")
        return f"{folder}: {len(source.digits)} digits and {len(source.spoken)} recordings for testing"
    return f"none given: the hub ({', '.join(HUB.values())}), or without a network the built-in sample"
