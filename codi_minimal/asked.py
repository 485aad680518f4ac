"""What the command line asks for: prompts, given streams and outputs of `generate`."""

import argparse
from functools import partial
from typing import Any

from codi_minimal.arguments import PROMPTS
from codi_minimal.config import ModelConfig
from codi_minimal.media import READERS_OF, read_text

WITH_START = ("audio", "video")


def read_asked(
    args: argparse.Namespace, config: ModelConfig
) -> tuple[dict[str, list[Any]], dict[str, Any], tuple[str, ...]]:
    """What is asked of a model with this config: prompts by modality, given items by modality, and outputs.

    Raises:
        ValueError: options that do not go together, or a file that cannot be read.
    """
    files, held = {name: list(getattr(args, name)) for name in PROMPTS}, list(args.given)
    if args.with_sound:
        if not files["video"] and "video" not in dict(held):
            raise ValueError("--with-sound: expected a clip in --video or --given, got none")
        files["audio"] += files["video"]
        if "video" in dict(held):
            held.append(("audio", dict(held)["video"]))
    given = dict(held)
    if len(given) < len(held):
        raise ValueError(f"--given: expected each modality once, got {', '.join(name for name, _ in held)}")
    if len(dict(args.weights)) < len(args.weights):
        raise ValueError(f"--weights: expected each modality once, got {', '.join(name for name, _ in args.weights)}")
    if args.start is not None and not any(files[name] or name in given for name in WITH_START):
        raise ValueError(f"--start: expected a clip or a recording, too, got only --start {args.start:g}")
    to = args.to or [name for name in config.modalities if name not in given]
    if not to:
        raise ValueError("--given: expected a modality that is left to generate, got all four")

    read = READERS_OF[config.fit] | {"text": _caption}
    start = args.start if args.start is not None or not args.with_sound else 0.0  # one clock for a clip and its sound
    if start is not None:
        read |= {name: partial(read[name], start=start) for name in WITH_START}
    asked = {name: [read[name](value) for value in values] for name, values in files.items() if values}
    return asked, {name: read[name](value) for name, value in given.items()}, tuple(dict.fromkeys(to))


def _caption(value: str) -> str:
    if value.lower().endswith(".txt"):
        return read_text(value)
    if value != value.encode("utf-8", "ignore").decode("utf-8"):
        raise ValueError(f"text: expected a caption in UTF-8, got {value!r}")
    return value
