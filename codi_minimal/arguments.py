"""The verbs of the command line, with their options, defaults and help."""

import argparse
import math
from collections.abc import Callable
from typing import NoReturn

PROMPTS = {
    "text": "a caption, or a .txt file",
    "image": "a picture: PNG, JPEG, WebP, BMP; at most 13 megapixels, an ordinary JPEG at most 51",
    "audio": "a recording: WAV, FLAC, OGG, MP3; at most 60 s; of 1.0 to 1.1 s, it keeps the time when its voice starts",
    "video": "a clip, of which the first second is taken: GIF, or MP4 with the extra `video`",
}
EXPERIMENTS = {
    "additions": "from the paper to what ships, one addition at a time",
    "gap": "the modality gap, and what closes it",
    "wiring": "which streams see each other while they are generated",
    "sampling": "guidance, steps and samplers",
    "probe": "which attributes can be read from the environment of noisy latents",
}
RECIPES = ("paper", "shipped", "cascade")

MOST_FILES = 10_000  # samples of one `generate`
MOST_SAMPLES = 5_000  # of one figure: an evaluation keeps all samples of a figure, 143 kB each, in memory
MOST_STEPS = 100_000_000
MOST_WORKERS = 256


def whole(low: int, high: int) -> Callable[[str], int]:
    """A type for argparse: a whole number from low to high."""

    def read(value: str) -> int:
        try:
            given = int(value)
        except ValueError:
            given = low - 1
        if not low <= given <= high:
            raise argparse.ArgumentTypeError(f"expected a whole number from {low} to {high}, got {value!r}")
        return given

    return read


def number(low: float, high: float) -> Callable[[str], float]:
    """A type for argparse: a number from low to high."""

    def read(value: str) -> float:
        try:
            given = float(value)
        except ValueError:
            given = math.nan
        if not low <= given <= high:
            raise argparse.ArgumentTypeError(f"expected a number from {low:g} to {high:g}, got {value!r}")
        return given

    return read


def weight(value: str) -> tuple[str, float]:
    """A type for argparse: a modality and its weight, as text=1."""
    name, _, amount = value.partition("=")
    if name not in PROMPTS or not amount:
        raise argparse.ArgumentTypeError(f"expected NAME=NUMBER with a name out of {', '.join(PROMPTS)}, got {value!r}")
    return name, number(0, 1e6)(amount)


seed = whole(0, 2**62 - 1)  # so that a seed and some number of samples added to it fit in 64 bits


class Parser(argparse.ArgumentParser):
    """Raises a ValueError for a wrong argument, as the rest of the package does."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(message)


def parser(*runs: Callable[[argparse.Namespace], None]) -> argparse.ArgumentParser:
    """Arguments of each function in `runs`, by its name; its docstring is the help, and `args.verb` is the function."""
    functions = {run.__name__: run for run in runs}
    top = Parser(prog="python -m codi_minimal", description="CoDi, small: any to any, by diffusion.")
    verbs = top.add_subparsers(required=True, metavar="VERB")

    def verb(name: str, out: str | None = None, device: bool = True) -> argparse.ArgumentParser:
        run = functions[name]
        sub = verbs.add_parser(name, help=run.__doc__, description=run.__doc__)
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

    def recipe(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("--recipe", choices=RECIPES, help="how outputs are sampled (default: the checkpoint's)")
        autocast(sub)

    def autocast(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("--autocast", choices=("bf16",), help="denoise in bfloat16: faster on some processors")

    sub = verb("generate", "out")
    checkpoint(sub)
    for name, what in PROMPTS.items():
        sub.add_argument(f"--{name}", action="append", default=[], help=f"{what}; may be repeated")
    sub.add_argument("--to", nargs="+", choices=PROMPTS, default=list(PROMPTS), help="outputs (default: all)")
    sub.add_argument("--weights", nargs="+", type=weight, default=[], metavar="NAME=W", help="as text=1 audio=0.5")
    sub.add_argument("--guidance", type=number(-1e6, 1e6), help="1: none; more: closer to the prompts")
    sub.add_argument("--steps", type=whole(1, MOST_STEPS), help="of the sampler")
    sub.add_argument("--sampler", choices=("ddim", "dpm-solver++", "ddpm"))
    recipe(sub)
    sub.add_argument("--seed", type=seed, default=0)
    sub.add_argument("--num", type=whole(1, MOST_FILES), default=1, help=f"samples; at most {MOST_FILES} (default: 1)")
    sub.add_argument("--no-joint", dest="joint", action="store_false", help="make each output by itself")
    sub.add_argument("--mp4", action="store_true", help="write MP4 rather than GIF; needs the extra `video`")

    sub = verb("train")
    data(sub)
    sub.add_argument("--out", help="folder for what is written (default: runs/small; runs/further with --further)")
    sub.add_argument("--preset", default="small", help="tiny, small or base (default: small)")
    sub.add_argument("--stages", nargs="+", help="stop after these (default: all); with --further, only these")
    sub.add_argument("--further", nargs="?", const="", metavar="CHECKPOINT",
                     help="go on from a finished checkpoint's weights (default: the one that ships)")  # fmt: skip
    sub.add_argument("--steps", type=whole(1, MOST_STEPS), help="of each stage, with --further (default: as before)")
    sub.add_argument("--seed", type=seed, help="of all that is drawn (default: 0; 1 with --further, for other samples)")
    sub.add_argument("--estimate", action="store_true", help="only say how long all would take here")

    sub = verb("evaluate", "results")
    checkpoint(sub)
    data(sub)
    sub.add_argument("--split", choices=("validation", "test"), default="test",
                     help="choose settings on validation; report on test (default: test)")  # fmt: skip
    sub.add_argument("--quick", action="store_true", help="few samples: five minutes on two cores")
    sub.add_argument(
        "--samples",
        type=whole(2, MOST_SAMPLES),
        help=f"for each single-prompt cell, several prompts, and joint figure: 2 to {MOST_SAMPLES}",
    )
    sub.add_argument(
        "--cells", type=whole(1, MOST_SAMPLES), help=f"samples for each of the 225 cells: 1 to {MOST_SAMPLES}"
    )
    recipe(sub)
    sub.add_argument(
        "--workers", type=whole(1, MOST_WORKERS), help="processes (default: one a core, at most 4; on a GPU 1)"
    )
    sub.add_argument("--seed", type=seed, default=0)

    sub = verb("judges", "results/judges", device=False)
    data(sub)
    sub.add_argument("--seed", type=seed, default=0)

    sub = verb("experiment", "results")
    checkpoint(sub)
    data(sub)
    sub.add_argument("name", choices=EXPERIMENTS, help="; ".join(f"{k}: {v}" for k, v in EXPERIMENTS.items()))
    sub.add_argument("--steps", type=whole(1, MOST_STEPS), help="of training, for each variant")
    sub.add_argument("--samples", type=whole(1, MOST_SAMPLES), help=f"for each figure; at most {MOST_SAMPLES}")
    sub.add_argument("--workers", type=whole(1, MOST_WORKERS), help="processes (default: 1)")
    autocast(sub)
    sub.add_argument("--seed", type=seed, default=0)

    sub = verb("check")
    checkpoint(sub)
    data(sub)

    sub = verb("demo", "demo")
    checkpoint(sub)
    recipe(sub)
    sub.add_argument("--seed", type=seed, default=0)
    return top
