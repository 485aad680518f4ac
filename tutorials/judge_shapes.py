"""Do pictures and tones agree? `python tutorials/judge_shapes.py CHECKPOINT FOLDER`, after training on `shapes.py`.

The judges are the nearest captioned files: of a picture its outline, moved to the middle, and of a tone its mean
spectrum. They are tried on files that they do not hold. Size and pitch, shape and timbre belong together in that world.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from codi_minimal import CoDi
from codi_minimal.evaluation.statistics import share
from codi_minimal.media import READERS_OF
from codi_minimal.sheet import contact_sheet
from codi_minimal.spectrogram import MelSpectrogram

GROUND = torch.tensor([20, 20, 30])[:, None, None] / 255
SIZES = {"high": "small", "low": "large"}
SHAPES = {"smooth": "circle", "sharp": "triangle", "hollow": "square", "rough": "hexagon"}
HELD, SAMPLES, BATCH = 8000, 200, 25  # files from this number on are only asked about
READ = READERS_OF["plain"]
WAYS = {"together": {}, "one after another": {"recipe": "cascade"}, "each by itself": {"joint": False}}
Judge = Callable[[Tensor], list[tuple[str, str]]]


def outlines(pictures: Tensor) -> Tensor:
    """What is no ground in "n 3 32 32", moved to the middle: (n, 1024)."""
    rows = []
    for shown in ((pictures - GROUND).abs().sum(dim=1) > 0.25).float():
        y, x = (int(places.float().mean()) for places in shown.nonzero(as_tuple=True)) if shown.any() else (16, 16)
        rows.append(shown.roll((16 - y, 16 - x), (0, 1)).flatten())
    return torch.stack(rows)


def spectra(waves: Tensor) -> Tensor:
    """Mean log-mel spectra of "n 8192", without their level: (n, 64)."""
    level = MelSpectrogram(2, "htk", None)(waves).clamp(min=1e-6).mean(dim=-1).log()
    return level - level.mean(dim=-1, keepdim=True)


def captioned(folder: Path, name: str, ending: str, held: bool) -> tuple[Tensor, list[tuple[str, str]]]:
    """Files with a caption, and the size and the shape that it states or that belong to its tone."""
    data, labels = [], []
    for path in sorted(folder.glob(f"*{ending}")):
        caption = path.with_suffix(".txt")
        if (int(path.stem) >= HELD) == held and caption.exists():
            words = caption.read_text(encoding="utf-8").split()
            data.append(READ[name](path))
            labels.append((SIZES[words[1]], SHAPES[words[2]]) if words[1] in SIZES else (words[1], words[3]))
    return torch.stack(data), labels


def judge(folder: Path, name: str, ending: str, look: Callable[[Tensor], Tensor]) -> Judge:
    """Gives each item the labels of the nearest file; prints how often that is right for held files."""
    known, labels = captioned(folder, name, ending, held=False)
    known = look(known)

    def judged(items: Tensor) -> list[tuple[str, str]]:
        return [labels[i] for i in torch.cdist(look(items), known).argmin(dim=1)]

    held, right = captioned(folder, name, ending, held=True)
    print(f"judge of {name}s: {agreement(judged(held), right)}")
    return judged


def agreement(a: Sequence, b: Sequence) -> str:
    """How often two labels are the same, with a 95 % interval."""
    return str(share(torch.tensor([x == y for x, y in zip(a, b, strict=True)])))


def main(checkpoint: str, folder: str) -> None:
    """Prints the table, and draws the first two samples of each way on the page agreement.png."""
    of_image = judge(Path(folder), "image", ".png", outlines)
    of_audio = judge(Path(folder), "audio", ".wav", spectra)
    model, rows = CoDi.from_pretrained(checkpoint), []
    for title, how in WAYS.items():
        made = [
            model.generate({}, ("image", "audio"), num_samples=BATCH, seed=seed, **how)
            for seed in range(SAMPLES // BATCH)
        ]
        seen, heard = (torch.cat([x[name] for x in made]).cpu() for name in ("image", "audio"))
        rows += [{"title": title, "prompts": {}, "outputs": {"image": seen[i], "audio": heard[i]}} for i in range(2)]
        pairs = [*zip(*map(list, (of_image(seen), of_audio(heard))), strict=True)]
        for i, what in enumerate(("size and pitch", "shape and timbre")):
            print(f"{title}: {what} {agreement([a[i] for a, _ in pairs], [b[i] for _, b in pairs])}")
        print(f"{title}: both {agreement(*zip(*pairs, strict=True))}")
    contact_sheet(rows, "agreement.png")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python tutorials/judge_shapes.py CHECKPOINT FOLDER")
    main(*sys.argv[1:])
