"""The model card: what a checkpoint was trained on, for how long, and what it may be used for."""

from codi_minimal.data.corpus import TALKING_DIGITS
from codi_minimal.data.sources import HUB
from codi_minimal.hub import metadata
from codi_minimal.training.run import Run

CARD = """{metadata}# codi-minimal, preset {config.name}

CoDi (Tang et al. 2023): {modalities}, any to any. {size:,} parameters, stored as float16. Made to learn and teach
with. It knows nothing but the small data that it was trained on.

## Training
`python -m codi_minimal train {options} {corpus.option}`, seed {run.seed}, on {run.device.type}.
Data: {corpus.name}.
They are the training data without the validation share, a tenth. `split_seed` {corpus.split_seed} fixes that share, and
this training did not see it.

| stage | steps | batch | minutes | last loss |
|---|---|---|---|---|
{rows}| sum | | | {minutes:.1f} | |

## Figures
`python -m codi_minimal evaluate --checkpoint MODEL {corpus.option}` measures it on data that no training saw.

## Data and licences
{about}
"""


def model_card(run: Run) -> str:
    """The card of a finished run, as Markdown."""
    stages, options, rows = run.config.train.stages, ["--preset", run.config.name], ""
    if run.further is not None:
        options = ["--further", *filter(None, [run.further]), "--stages", *stages]
        steps = {stage.steps for stage in stages.values()}
        options += ["--steps", str(*steps)] if len(steps) == 1 else []  # else they are the checkpoint's own
    of_others = f"What the card of {run.further} says of data and licences holds here, too."
    before = {None: "", "": TALKING_DIGITS}.get(run.further, of_others)  # "": the checkpoint that ships
    about = "\n\n".join(filter(None, dict.fromkeys([run.corpus.about, before])))
    for name, stage in stages.items():
        done = run.done[name]
        rows += f"| {name} | {done.steps} | {stage.batch} | {done.seconds / 60:.1f} | {done.losses['loss']:.4f} |\n"
    size, minutes = sum(p.numel() for p in run.model.parameters()), sum(run.done[name].seconds for name in stages) / 60
    first = metadata(HUB.values() if TALKING_DIGITS in about else ())
    counts = {"modalities": ", ".join(run.model.modalities), "size": size, "minutes": minutes}
    texts = {"metadata": first, "about": about, "options": " ".join(options), "rows": rows}
    return CARD.format(run=run, config=run.config, corpus=run.corpus, **texts, **counts)
