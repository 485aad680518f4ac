"""One picture a stage, to look at: what went in, and what the freshly trained part makes of it."""

import random

import torch
import torch.nn.functional as F
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from codi_minimal.data import WORDS, Pairs, caption, unpaired
from codi_minimal.diffusion import q_sample
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


def heat_map(run: Run, stage: str, cosine: torch.Tensor, captions: list[str], across: str) -> None:
    """Cosines between captions and what was paired with them."""
    figure = Figure(figsize=(6.5, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    picture = axes.imshow(cosine.cpu().numpy(), vmin=-0.2, vmax=1, cmap="magma")
    axes.set_yticks(range(len(captions)), captions)
    axes.set_xticks([])
    axes.set_xlabel(across)
    figure.colorbar(picture, label="cosine")
    figure.savefig(run.folder / f"{stage}.png", dpi=110)


def draw_captioned(run: Run, name: str, n: int = 12) -> tuple[list[str], torch.Tensor]:
    """n captions, and the samples of another modality that they are paired with."""
    drawn = Pairs(run.source, ("text", name)).draw(n, run.generator("sheet"))
    return drawn.captions(random.Random(run.seed)), drawn.render(name, generator=run.generator("sheet")).to(run.device)


@torch.no_grad()
def similarities(run: Run, stage: str, name: str) -> None:
    """Cosines between C_text and C_name of pairs: a bright diagonal, and blocks where attributes are shared."""
    captions, data = draw_captioned(run, name)
    cosine = run.model.modalities["text"].prompt(captions) @ run.model.modalities[name].prompt(data).T
    heat_map(run, stage, cosine, captions, f"C of the {name} of the same pairs")


@torch.no_grad()
def environment_similarities(run: Run, stage: str, name: str = "image", t: int = 200) -> None:
    """The same for V_text and V_name of latents with some noise."""
    captions, data = draw_captioned(run, name)
    vectors = []
    for m, x in (("text", captions), (name, data)):
        z0 = run.model.modalities[m].encode(x)
        eps = run.model.modalities[m].noise(len(z0), run.generator(f"sheet {m}")).to(run.device)
        times = torch.full((len(z0),), min(t, run.config.model.T - 1), device=run.device)
        z_t = q_sample(run.model.schedule, z0, times, eps)
        tokens = run.model.modalities[m].environment(z_t, times)[:, : run.config.model.summary]
        vectors.append(F.normalize(tokens.flatten(1), dim=-1))
    heat_map(run, stage, vectors[0] @ vectors[1].T, captions, f"V of the {name} of the same pairs, at t = {t}")


@torch.no_grad()
def samples(run: Run, stage: str, outputs: tuple[str, ...] | None = None, n: int = 6) -> None:
    """Captions, and what is generated from them, all modalities where no outputs are named."""
    rng = random.Random(run.seed)
    captions = [caption({k: rng.choice(v) for k, v in WORDS.items()}, rng) for _ in range(n)]
    outputs = outputs or tuple(run.model.modalities)
    made = run.model.generate({"text": captions}, outputs)
    rows = [
        {"title": stage, "prompts": {"text": [captions[i]]}, "outputs": {name: made[name][i] for name in outputs}}
        for i in range(n)
    ]
    contact_sheet(rows, run.folder / f"{stage}.png")
