"""The model card: what a checkpoint was trained on, for how long, and what it may be used for."""

from pathlib import Path

from codi_minimal.checkpoint import atomic_write
from codi_minimal.training.run import Run

LICENCES = """- Handwriting: MNIST (LeCun, Cortes and Burges), CC BY-SA 3.0.
- Voices: Free Spoken Digit Dataset (Jakobovski et al.), CC BY-SA 4.0, six speakers.

The code is MIT-licensed. The weights hold no recording and no image; name these sources where you pass them on."""


def model_card(run: Run) -> str:
    """The card of a finished run, as Markdown."""
    rows, minutes = [], 0.0
    for name, stage in run.config.train.stages.items():
        done = run.done[name]
        minutes += done.seconds / 60
        rows.append(f"| {name} | {done.steps} | {stage.batch} | {done.seconds / 60:.1f} | {done.losses['loss']:.4f} |")
    table = "\n".join(rows)
    size = sum(p.numel() for p in run.model.parameters())
    options = ["--preset", run.config.name]
    if run.further is not None:
        options = ["--further", *filter(None, [run.further]), "--stages", *run.config.train.stages]
        steps = {stage.steps for stage in run.config.train.stages.values()}
        options += ["--steps", str(*steps)] if len(steps) == 1 else []  # else they are the checkpoint's own
    return f"""# codi-minimal, preset {run.config.name}

CoDi (Tang et al. 2023) on Talking Digits: text, image, audio and video, any to any. {size:,} parameters, stored as
float16. Made to learn and teach with, on this one small world; it knows nothing else.

## Training
`python -m codi_minimal train {' '.join(options)} --data DATA`, seed {run.seed}, on {run.device.type}.
Data: {run.source.name}, {len(run.source.digits)} handwritten digits and {len(run.source.spoken)} recordings.
They are -train without its validation share. `split_seed` {run.config.train.split_seed} fixes that share, and this
training did not see it.

| stage | steps | batch | minutes | last loss |
|---|---|---|---|---|
{table}
| all | | | {minutes:.1f} | |

## Figures
`python -m codi_minimal evaluate --checkpoint FOLDER --data DATA` measures it on the test split.

## Data and licences
{LICENCES}
"""


def write_card(run: Run, folder: Path) -> None:
    """Write MODEL_CARD.md beside the weights."""
    folder.mkdir(parents=True, exist_ok=True)
    atomic_write(folder / "MODEL_CARD.md", model_card(run).encode())
