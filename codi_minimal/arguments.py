"""The verbs of the command line, with their options, defaults and help."""

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

PROMPTS = {
    "text": "a caption, or a .txt file",
    "image": "a picture: PNG, JPEG, WebP, BMP; at most 13 megapixels, an ordinary JPEG at most 51",
    "audio": "a recording (WAV, FLAC, OGG, MP3, M4A) or the sound of a clip; at most 60 s; of 1.0 to 1.1 s, it keeps "
    "the time when its voice starts",
    "video": "a clip, of which one second is taken: GIF, MP4, MOV, WebM",
}
EXPERIMENTS = {
    "together": "what makes outputs agree that are generated together, and a cascade beside it",
    "given": "whether outputs fit a real stream that they are generated around",
    "gap": "the modality gap, and what closes it",
    "ablations": "what of latent alignment is needed, and the paper's chain",
    "sampling": "guidance, steps and samplers",
    "strangers": "voices, hands and words that are in no training data",
    "probe": "which attributes can be read from the environment of noisy latents",
}
RECIPES = ("paper", "shipped", "cascade")

MOST_FILES = 10_000  # samples of one `generate`
MOST_SAMPLES = 5_000  # of one figure: an evaluation keeps all samples of a figure, 143 kB each, in memory
MOST_STEPS = 100_000_000
MOST_WORKERS = 256


def within(low: int, high: int, kind: type = int) -> Callable[[str], Any]:
    """A type for argparse: a number of this kind, int or float, from low to high."""

    def read(value: str) -> Any:
        try:
            if low <= (given := kind(value)) <= high:
                return given
        except ValueError:
            pass
        what = "whole number" if kind is int else "number"
        raise argparse.ArgumentTypeError(f"expected a {what} from {low} to {high}, got {value!r}")

    return read


def weight(value: str) -> tuple[str, float]:
    """A type for argparse: a modality and its weight, as text=1."""
    name, _, amount = value.partition("=")
    if name not in PROMPTS or not amount:
        raise argparse.ArgumentTypeError(f"expected NAME=NUMBER with a name out of {', '.join(PROMPTS)}, got {value!r}")
    return name, within(0, 1_000_000, float)(amount)


def held(value: str) -> tuple[str, str]:
    """A type for argparse: a modality and a file or a caption of it, as video=clip.gif."""
    name, _, item = value.partition("=")
    if name not in PROMPTS or not item:
        raise argparse.ArgumentTypeError(f"expected NAME=FILE with a name out of {', '.join(PROMPTS)}, got {value!r}")
    return name, item


def folder(value: str) -> str:
    """A type for argparse: a folder that can be made or written, before any work is done. It makes nothing."""
    there = next(path for path in (Path(value), *Path(value).parents) if os.path.lexists(path))
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise argparse.ArgumentTypeError(f"expected a folder that can be written, got {value!r}: see {str(there)!r}")
    return value


HELD_OUT = ("validation", "test")  # splits that no training sees
seed = within(0, 2**62 - 1)  # so that a seed and some number of samples added to it fit in 64 bits
steps, samples, workers = within(1, MOST_STEPS), within(1, MOST_SAMPLES), within(1, MOST_WORKERS)
SHARED: dict[str, dict[str, Any]] = {  # options that several verbs have
    "device": {"help": "cpu, cuda, mps; chosen automatically"},
    "checkpoint": {"help": "folder or hub id (default: the checkpoint that ships)"},
    "data": {"help": "folder of parquet files (default: CODI_DATA, the hub or a sample)"},
    "recipe": {"choices": RECIPES, "help": "how outputs are sampled (default: the checkpoint's)"},
    "autocast": {"choices": ("bf16",), "help": "denoise in bfloat16: faster on some processors"},
    "seed": {"type": seed, "default": 0},
}


class Parser(argparse.ArgumentParser):
    """Raises a ValueError for a wrong argument, as the rest of the package does."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(message)


def parser(*runs: Callable[[argparse.Namespace], None]) -> argparse.ArgumentParser:
    """Arguments of each function in `runs`, by its name; its docstring is the help, and `args.verb` is the function."""
    functions = {run.__name__: run for run in runs}
    top = Parser(prog="python -m codi_minimal", description="CoDi, small: any to any, by diffusion.")
    verbs = top.add_subparsers(required=True, metavar="VERB")

    def verb(name: str, shared: str, out: str | None = None) -> Callable[..., Any]:
        """A new verb with the `shared` options, and --out if it has a default; returns its `add_argument`."""
        run = functions[name]
        sub = verbs.add_parser(name, help=run.__doc__, description=run.__doc__)
        sub.set_defaults(verb=run)
        for option in shared.split():
            sub.add_argument(f"--{option}", **SHARED[option])
        if out:
            sub.add_argument("--out", type=folder, default=out, help="folder for results (default: %(default)s)")
        return sub.add_argument

    add = verb("generate", "device checkpoint recipe autocast seed", out="out")
    for name, what in PROMPTS.items():
        add(f"--{name}", action="append", default=[], help=f"{what}; may be repeated")
    around = "hold this file or caption as a stream, and generate the outputs around it, as video=clip.gif"
    add("--given", action="append", type=held, default=[], metavar="NAME=FILE", help=around)
    add("--to", nargs="+", choices=PROMPTS, help="outputs (default: all that are not given)")
    add("--weights", nargs="+", type=weight, default=[], metavar="NAME=W", help="as text=1 audio=0.5")
    add("--guidance", type=within(-1_000_000, 1_000_000, float), help="1: none; more: closer to the prompts")
    add("--steps", type=steps, help="of the sampler")
    add("--sampler", choices=("ddim", "dpm-solver++", "ddpm", "restart"))
    add("--num", type=within(1, MOST_FILES), default=1, help=f"samples; at most {MOST_FILES} (default: 1)")
    add("--no-joint", dest="joint", action="store_false", help="make each output by itself")
    add("--with-sound", action="store_true", help="the sound of each clip is a prompt, or given, like the clip")
    start = "the second of clips and recordings that is taken starts here, in seconds (default: at the start)"
    add("--start", type=within(0, 36_000, float), help=start)
    add("--gif", action="store_true", help="write clips as GIF, rather than as MP4 with sound")

    add = verb("train", "device data")
    add("--out", type=folder, help="folder for results (default: runs/small; runs/further with --further)")
    add("--preset", default="small", help="tiny, small or base (default: small)")
    own = "train on your own pairs: a folder of files that share a name (0001.png, 0001.txt), a CSV file, or a data set"
    add("--pairs", metavar="FOLDER", help=own)
    add("--stages", nargs="+", help="stop after these (default: all); with --further, only these")
    further = "go on from a finished checkpoint's weights (default: the one that ships)"
    add("--further", nargs="?", const="", metavar="CHECKPOINT", help=further)
    add("--steps", type=steps, help="of each stage, with --further (default: as before)")
    add("--seed", type=seed, help="of all that is drawn (default: 0; 1 with --further, for other samples)")
    voices = "C_audio is also trained on voices of espeak-ng, where that is installed"
    add("--synthetic-voices", action="store_true", help=voices)
    together = "train so many stages at the same time, where none needs another (default: 1)"
    add("--workers", type=workers, help=together)
    add("--estimate", action="store_true", help="only say how long all would take here")

    add = verb("evaluate", "device checkpoint data recipe autocast seed", out="results")
    splits = "choose settings on validation; report on test"
    add("--split", choices=HELD_OUT, default="test", help=f"{splits} (default: test)")
    add("--pairs", metavar="FOLDER", help="the tenth of your own pairs that `train --pairs` holds out")
    add("--quick", action="store_true", help="few samples: five minutes on two cores")
    most = f"for each single-prompt cell, several prompts, and joint figure: 2 to {MOST_SAMPLES}"
    add("--samples", type=within(2, MOST_SAMPLES), help=most)
    add("--cells", type=samples, help=f"samples for each of the 225 cells: 1 to {MOST_SAMPLES}")
    add("--workers", type=workers, help="processes (default: one a core, at most 4; on a GPU 1)")

    verb("judges", "data seed", out="results/judges")

    add = verb("experiment", "device checkpoint data autocast seed", out="results")
    add("name", choices=EXPERIMENTS, help="; ".join(f"{k}: {v}" for k, v in EXPERIMENTS.items()))
    add("--steps", type=steps, help="training steps of each variant")
    add("--samples", type=samples, help=f"for each figure; at most {MOST_SAMPLES}")
    add("--workers", type=workers, help="processes (default: 1)")
    add("--split", choices=HELD_OUT, help=f"{splits} (default: validation)")

    add = verb("play", "device checkpoint recipe autocast")
    add("--host", default="127.0.0.1", help="address to listen at (default: %(default)s, which no other machine sees)")
    add("--port", type=within(1, 65535), help="default: the first that is free from 7860 on")

    add = verb("export", "checkpoint")
    add("--to", type=folder, required=True, metavar="FOLDER", help="folder for the files, new or empty")

    add = verb("benchmark", "device")
    add("--rounds", type=within(1, 1000), default=5, help="how often each piece of work is timed (default: 5)")

    verb("check", "device checkpoint data")
    verb("demo", "device checkpoint recipe autocast seed", out="demo")
    return top


def given_options(args: argparse.Namespace, *names: str) -> dict[str, Any]:
    """The options out of `names` that the caller gave."""
    return {name: getattr(args, name) for name in names if getattr(args, name) is not None}
