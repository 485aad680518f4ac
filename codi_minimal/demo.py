"""The main job in one minute: a handwritten digit and a caption become image, audio, video and text.

The digit is real pen strokes from scikit-learn's `load_digits`, which no training saw, in a green ink.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from codi_minimal.data.scenes import COLOURS, DIGITS, MOTIONS
from codi_minimal.fitting import fit_image
from codi_minimal.media import write_png, write_sample
from codi_minimal.sheet import contact_sheet

EVERYTHING = ("text", "image", "audio", "video")
PEN = 1447  # which of load_digits' 1797
INK = "green"
CAPTION = "something green sliding left"
OTHER_CAPTION = "a blue digit that grows"


def handwritten(index: int = PEN, colour: str = INK) -> tuple[Tensor, str]:
    """One of `load_digits`, 8 x 8 pixels of real handwriting, fitted to the world; and the digit's name.

    Returns:
        image "3 32 32" in [0, 1], and "zero" … "nine".
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    strokes = torch.from_numpy(digits.images[index]).float() / 16
    ink = torch.tensor(COLOURS[colour])[:, None, None]
    return fit_image(ink * pad(strokes, (2, 2, 2, 2))), DIGITS[digits.target[index]]


def run(model: Any, out: str | Path = "demo", seed: int = 0, progress: bool = False) -> Path:
    """Five sets of prompts, each to all four modalities: prints what came, writes files and a contact sheet.

    The voice in the fourth set is the one that the model itself gave to the handwritten digit in the second.

    Args:
        model: a `CoDi`.
        out: folder for the files; those of an earlier demo are replaced.
        seed: of the initial noise.
        progress: show progress bars.
    Returns:
        The contact sheet's path.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    digit, name = handwritten()
    write_png(out / "handwritten.png", digit, upscale=8)
    print(f'given: a handwritten {name} in {INK} (scikit-learn, load_digits), and "{CAPTION}"')
    rows: list[dict[str, Any]] = []

    def show(title: str, prompts: Mapping[str, Any]) -> dict[str, Any]:
        stem = str(len(rows) + 1)
        sample = model.generate(prompts, EVERYTHING, seed=seed + len(rows), progress=progress)
        sample = {name: sample[name][0] for name in EVERYTHING}
        files = write_sample(out, stem, sample)
        rows.append({"title": title, "prompts": {k: [v] for k, v in prompts.items()}, "outputs": sample})
        print(f"\n{stem}. {title}\n   {describe(sample)}\n   {' '.join(map(str, files))}", flush=True)
        return sample

    show("A caption, to everything", {"text": CAPTION})
    voice = show("A handwritten digit, to everything", {"image": digit})["audio"]
    show("The handwritten digit and the caption", {"image": digit, "text": CAPTION})
    show("The voice of row 2 and another caption", {"audio": voice, "text": OTHER_CAPTION})
    show("Nothing at all: the four make something up together", {})
    sheet = contact_sheet(rows, out / "any_to_any.png")
    print(f"\nall of it on one page: {sheet}")
    return sheet


def describe(sample: Mapping[str, Any]) -> str:
    """What rules (no classifier) read from a sample of all four: colours, motion, onsets."""
    from codi_minimal.evaluation import rules

    def word(words: Any, index: Tensor) -> str:
        return list(words)[int(index)] if index >= 0 else "nothing"

    image, video, audio = (sample[name][None].cpu() for name in ("image", "video", "audio"))
    moving = word(MOTIONS, rules.read_motion(video)), int(rules.read_video_onset(video))
    return (
        f'text: "{sample["text"]}"; image: {word(COLOURS, rules.read_colour(image))}; '
        f"video: {word(COLOURS, rules.read_colour(video[:, 0]))}, {moving[0]} from frame {moving[1]}; "
        f"voice: from frame {int(rules.read_audio_onset(audio))}"
    )


if __name__ == "__main__":
    from codi_minimal.cli import main

    sys.exit(main(["demo", *sys.argv[1:]]))
