"""One picture a stage, to look at: what went in, and what the freshly trained part makes of it."""

import random

import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from codi_minimal.data import COLOURS, DIGITS, MOTIONS, Pairs, caption, unpaired
from codi_minimal.sheet import contact_sheet
from codi_minimal.training.run import Run


@torch.no_grad()
def reconstructions(run: Run, stage: str, name: str, n: int = 4) -> None:
    """Samples of one modality and what its autoencoder keeps of them."""
    ae = run.model.modalities[name].autoencoder
    x = run.model.modalities[name].data.batch(unpaired(run.source, name, n, run.generator("sheet")))
    x = x.to(run.device) if isinstance(x, torch.Tensor) else x
    rows = [
        {"title": f"{stage}: given, and reconstructed", "prompts": {name: [given]}, "outputs": {name: made}}
        for given, made in zip(x, ae.decode(ae.encode(x)), strict=True)
    ]
    contact_sheet(rows, run.folder / f"{stage}.png")


@torch.no_grad()
def similarities(run: Run, stage: str, name: str, n: int = 12) -> None:
    """Cosines between C_text and C_name of n pairs: a bright diagonal, and blocks where attributes are shared."""
    drawn = Pairs(run.source, ("text", name), run.seed).draw(n, run.generator("sheet"))
    captions = drawn.captions(random.Random(run.seed))
    data = drawn.render(name, generator=run.generator("sheet")).to(run.device)
    cosine = run.model.modalities["text"].prompt(captions) @ run.model.modalities[name].prompt(data).T
    figure = Figure(figsize=(6.5, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    picture = axes.imshow(cosine.cpu().numpy(), vmin=-0.2, vmax=1, cmap="magma")
    axes.set_yticks(range(n), captions)
    axes.set_xticks([])
    axes.set_xlabel(f"{name} of the same pairs")
    figure.colorbar(picture, label="cosine")
    figure.savefig(run.folder / f"{stage}.png", dpi=110)


@torch.no_grad()
def samples(run: Run, stage: str, outputs: tuple[str, ...], n: int = 6) -> None:
    """Captions, and what is generated from them."""
    rng = random.Random(run.seed)
    choices = {"digit": DIGITS, "colour": tuple(COLOURS), "motion": MOTIONS}
    captions = [caption({k: rng.choice(v) for k, v in choices.items()}, rng) for _ in range(n)]
    made = run.model.generate({"text": captions}, outputs)
    rows = [
        {"title": stage, "prompts": {"text": [captions[i]]}, "outputs": {name: made[name][i] for name in outputs}}
        for i in range(n)
    ]
    contact_sheet(rows, run.folder / f"{stage}.png")
