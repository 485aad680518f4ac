"""One picture a stage: its samples, and what the part that it trained makes of them."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Tensor

from codi_minimal.diffusion import q_sample
from codi_minimal.sheet import contact_sheet
from codi_minimal.training.autoencoders import draw
from codi_minimal.training.run import Run

FEW = 40  # training steps of a stage: below, its picture is sampled in as many


@torch.no_grad()
def reconstructions(run: Run, stage: str, name: str) -> None:
    """Four samples of a modality, and what its autoencoder makes of them."""
    ae, x = run.model.modalities[name].autoencoder, draw(run, name, 4, run.generator("sheet"))
    title, pairs = f"{stage}: given, and reconstructed", zip(x, ae.decode(ae.encode(x)), strict=True)
    rows = [{"title": title, "prompts": {name: [given]}, "outputs": {name: made}} for given, made in pairs]
    contact_sheet(rows, run.folder / f"{stage}.png")


def environment(run: Run, name: str, x: Any) -> Tensor:
    """The summary tokens of V_name at t = 200 as one unit vector (b, e)."""
    m, cfg = run.model.modalities[name], run.config.model
    z0 = m.encode(x)
    eps = m.noise(len(z0), run.generator(f"sheet {name}")).to(run.device)
    t = torch.full((len(z0),), min(200, cfg.T - 1), device=run.device)
    return F.normalize(m.environment(q_sample(run.model.schedule, z0, t, eps), t)[:, : cfg.summary].flatten(1), dim=-1)


def heat_figure(values: Tensor, rows: Sequence[str], columns: Sequence[str] = (), title: str = "", **imshow) -> Figure:
    """A matrix (r, c) as colours, with names at its sides."""
    r, c = values.shape
    figure = Figure(figsize=(min(9, 2.2 + 0.28 * c), min(7, 1.2 + 0.24 * r)), layout="constrained")
    ax = figure.subplots()
    drawn = ax.imshow(values.detach().cpu().float().numpy(), aspect="auto", cmap="magma", **imshow)
    ax.set_yticks(range(len(rows)), rows, fontsize=8)
    ax.set_xticks(range(len(columns)), columns, fontsize=8, rotation=60, ha="right")
    ax.set_title(title, fontsize=10)
    figure.colorbar(drawn)
    return figure


@torch.no_grad()
def similarities(
    run: Run, stage: str, name: str | None, embed: Callable[[Run, str, Any], Tensor] | None = None
) -> None:
    """Cosines of twelve captions and their samples: a bright diagonal, and blocks where samples share attributes.

    Args:
        name: a modality; None: the first that the data pairs with text; without any there is no picture.
        embed: (run, modality, data) → unit vectors (b, e); None: the prompt encoders.
    """
    beside_text = [other for first, other in run.corpus.pairings if "text" in (first, other)]
    if not beside_text:
        return
    name, embed = name or beside_text[0], embed or (lambda run, name, x: run.model.modalities[name].prompt(x))
    drawn = run.corpus.pairs(("text", name)).draw(12, run.generator("sheet"))
    captions = drawn.captions(random.Random(run.seed))
    data = drawn.render(name, generator=run.generator("sheet")).to(run.device)
    cosine = embed(run, "text", captions) @ embed(run, name, data).T
    figure = heat_figure(cosine, captions, title=f"{stage}: cosines with {name} of the same pairs", vmin=-0.2, vmax=1)
    figure.savefig(run.folder / f"{stage}.png", dpi=110)


@torch.no_grad()
def samples(run: Run, stage: str, name: str | None = None) -> None:
    """Six captions and what is generated from them: modality `name`, or all."""
    names = [name] if name else list(run.model.modalities)
    captions = run.corpus.prompts(6, random.Random(run.seed))
    trained = run.stage(stage).steps
    made = run.model.generate({"text": captions}, names, steps=trained if trained < FEW else None)
    outputs = ({m: made[m][i] for m in names} for i in range(6))
    rows = [{"title": stage, "prompts": {"text": [captions[i]]}, "outputs": out} for i, out in enumerate(outputs)]
    contact_sheet(rows, run.folder / f"{stage}.png")
