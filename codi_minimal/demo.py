"""The demo: a handwritten digit and a caption become image, audio, video and text.

The digit is real handwriting from scikit-learn's `load_digits`, which is in no training data, in green ink.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from codi_minimal.data import ATTRIBUTES_OF, COLOURS, DIGITS, parse
from codi_minimal.evaluation.readers import READERS, VALUES, read
from codi_minimal.fitting import fit_image
from codi_minimal.media import write_png, write_sample
from codi_minimal.sheet import contact_sheet

PEN = 1447  # which of load_digits' 1797
INK = "green"
CAPTION = "something green sliding left"
OTHER_CAPTION = "a blue digit that grows"


def handwritten(colour: str = INK) -> tuple[Tensor, str]:
    """One of `load_digits`, real handwriting, as an image "3 32 32" in [0, 1]; and its name, "zero" … "nine"."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    strokes = torch.from_numpy(digits.images[PEN]).float() / 16  # 8 8
    ink = torch.tensor(COLOURS[colour])[:, None, None]
    return fit_image(ink * pad(strokes, (2, 2, 2, 2))), DIGITS[digits.target[PEN]]


def run(model: Any, out: str | Path = "demo", seed: int = 0, progress: bool = False) -> Path:
    """Five sets of prompts, each to all four modalities, by `model.generate`: prints the results, and writes them.

    The voice in the fourth set is the model's own output for the handwritten digit in the second. `out` is the folder
    for the files, and those of an earlier demo are replaced. Returns the path of the contact sheet.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    digit, name = handwritten()
    write_png(out / "handwritten.png", digit, upscale=8)
    print(f'given: a handwritten {name} in {INK} (scikit-learn, load_digits), and "{CAPTION}"')
    print("each output is read by classifiers and rules: digit, colour, motion, frame at which it starts")
    rows: list[dict[str, Any]] = []

    def show(title: str, prompts: Mapping[str, Any], asked: Mapping[str, str]) -> dict[str, Any]:
        stem = str(len(rows) + 1)
        sample = model.generate(prompts, tuple(ATTRIBUTES_OF), seed=(seed + len(rows)) % 2**63, progress=progress)
        sample = {name: batch[0] for name, batch in sample.items()}
        files = write_sample(out, stem, sample)
        rows.append({"title": title, "prompts": {k: [v] for k, v in prompts.items()}, "outputs": sample})
        print(f"\n{stem}. {title}\n{_report(sample, asked)}\n   {' '.join(map(str, files))}", flush=True)
        return sample

    said, drawn = parse(CAPTION), {"digit": name, "colour": INK}
    show("A caption, to everything", {"text": CAPTION}, said)
    voice = show("A handwritten digit, to everything", {"image": digit}, drawn)["audio"]
    show("The handwritten digit and the caption", {"image": digit, "text": CAPTION}, drawn | said)
    prompts = {"audio": voice, "text": OTHER_CAPTION}
    show("The voice of row 2 and another caption", prompts, {"digit": name} | parse(OTHER_CAPTION))
    show("Nothing at all: the four make something up together", {}, {})
    sheet = contact_sheet(rows, out / "any_to_any.png")
    print(f"\nall of it on one page: {sheet}")
    return sheet


def read_sample(sample: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The attributes that the judges read from each item of a sample, in words; the onset is a frame number."""
    found = {}
    for name, item in sample.items():
        values = read(name, [item] if isinstance(item, str) else item[None])
        found[name] = {a: int(v) if a == "onset" else VALUES[a][v] for a, v in values.items() if v >= 0}
    return found


def _report(sample: Mapping[str, Any], asked: Mapping[str, str]) -> str:
    answers, lines = [], [f'   "{sample["text"]}"']
    for name, words in read_sample(sample).items():
        formed = READERS[name].formed
        # a text need not say all that it could, but it must make sense
        due = words if formed is not None and formed([sample[name]]).all() else ATTRIBUTES_OF[name]
        answers += [words.get(a) == word for a, word in asked.items() if a in due]
        lines.append(f"   {name}: {', '.join(f'{a} {word}' for a, word in words.items()) or 'nothing'}")
    return "\n".join(lines + ([f"   as asked: {sum(answers)} of {len(answers)}"] if answers else []))
