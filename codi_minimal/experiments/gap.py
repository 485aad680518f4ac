"""The modality gap: how well a denoiser that was trained on text follows other prompts, and what helps.

Contrastive training leaves each modality in a region of its own (Liang et al. 2022): C_audio("seven") is far from
C_text("seven"). Image denoisers are trained from the same random weights on different mixtures of prompts, and then
prompted with all modalities. No training pairs images with audio or video.
"""

import copy
import random
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from codi_minimal.checkpoint import fingerprint
from codi_minimal.codi import CoDi
from codi_minimal.config import Stage
from codi_minimal.data import ATTRIBUTES_OF, RENDERERS, Pairs, Source, load
from codi_minimal.data.world import World
from codi_minimal.evaluation.generation import BatchedModel
from codi_minimal.evaluation.report import command, save, table
from codi_minimal.evaluation.sections import measure_cells
from codi_minimal.experiments.base import Place, share_cache, untrained, validation
from codi_minimal.training.denoisers import train_denoiser
from codi_minimal.training.run import Run

OUTPUT = "image"
TEXT_ALONE = {"p_single": (1.0, 0.0), "cond_noise": 0.0}
REGIMES: dict[str, dict[str, Any]] = {  # what differs from the preset's training config
    "text prompts alone": TEXT_ALONE,
    "text prompts, noise": {**TEXT_ALONE, "cond_noise": 0.02},
    "own prompts mixed in": {"cond_noise": 0.0},
    "own prompts mixed in, noise": {},
}


def gap(
    model: CoDi, data: Place, out: Path, steps: int = 800, samples: int = 200, seed: int = 0, progress: bool = True
) -> dict[str, Any]:
    """Train the image denoiser under each regime, for so many steps.

    Returns:
        "clouds": modality → how far its embeddings are from those of text. "coherence": regime → modality of the prompt
        → attribute → share.
    """
    trained, model = model, copy.deepcopy(model)
    source, held_out = load(data, split_seed=model.config.train.split_seed), validation(model, data)
    report: dict[str, Any] = {
        "command": command("experiment gap", data="DATA", steps=steps, samples=samples, seed=seed),
        "source": held_out.name,
        "clouds": clouds(model, held_out, samples, seed),
        "coherence": {},
    }
    runs = out / f"{fingerprint(model)}-{seed}"
    for name, changes in REGIMES.items():
        fresh = untrained(trained, seed, stages={f"denoiser-{OUTPUT}": Stage(steps, 64, 1e-3)}, **changes)
        model.config = fresh.config
        model.modalities[OUTPUT].denoiser.load_state_dict(fresh.modalities[OUTPUT].denoiser.state_dict())
        run = Run(model, source, runs / name.replace(", ", "-").replace(" ", "-"), seed, progress)
        share_cache(runs, run.folder)
        train_denoiser(run, OUTPUT)
        share_cache(run.folder, runs)
        report["coherence"][name] = follow(model, held_out, samples, seed)
    return save(out, "gap", report, markdown(report))


def clouds(model: CoDi, source: Source, n: int, seed: int) -> dict[str, dict[str, float]]:
    """The distance of the centres of C_text and C_m, and the mean cosine, over n pairs."""
    result = {}
    for name in RENDERERS:
        generator = torch.Generator().manual_seed(seed)
        drawn = Pairs(source, ("text", name)).draw(n, generator)
        text = model.encode_prompt("text", drawn.captions(random.Random(seed)))
        other = model.encode_prompt(name, drawn.render(name, generator=generator))
        distance, cosine = modality_gap(text, other)
        result[name] = {"distance": distance, "cosine": cosine}
    return result


def modality_gap(x: Tensor, y: Tensor) -> tuple[float, float]:
    """The gap Δ = ‖mean_i x_i − mean_i y_i‖ in [0, 2] (Liang et al. 2022), and the mean of x_i·y_i in [-1, 1].

    Args:
        x, y: (b, d), unit norm, row i of one belongs to row i of the other.

    Raises:
        ValueError: if shapes differ or rows are not of unit norm.
    """
    if x.shape != y.shape or not ((torch.stack([x, y]).norm(dim=-1) - 1).abs() < 1e-3).all():
        raise ValueError(f"expected two (b, d) of unit norm, got {tuple(x.shape)} and {tuple(y.shape)}")
    return (x.mean(dim=0) - y.mean(dim=0)).norm().item(), (x * y).sum(dim=-1).mean().item()


def follow(model: CoDi, source: Source, n: int, seed: int) -> dict[str, dict]:
    """Coherence of images from n prompts of each modality, which act through the condition alone."""
    batched = BatchedModel(model, seed, {"recipe": model.recipe.without("prompt_clocks")})
    scores = {}
    for i, prompt in enumerate(model.modalities):
        ((_, _, found),) = measure_cells(batched, World(source), n, i, (prompt,), [(OUTPUT,)])
        scores[prompt] = found[OUTPUT]
    return scores


def markdown(report: dict[str, Any]) -> str:
    """Two tables."""
    distances = [(f"text–{name}", row["distance"], row["cosine"]) for name, row in report["clouds"].items()]
    prompts = list(next(iter(report["coherence"].values())))
    columns = [(p, a) for p in prompts for a in ATTRIBUTES_OF[OUTPUT] if a in ATTRIBUTES_OF[p]]
    shares = [(regime, *(scores[p][a] for p, a in columns)) for regime, scores in report["coherence"].items()]
    return f"""# The modality gap

`{report["command"]}`. Data: {report["source"]}, validation split.

{table(("clouds of embeddings", "distance of centres", "mean cosine"), distances)}

Images from prompts of each modality: the share that shows what the prompt says, with 95 % intervals.

{table(("trained on", *(f"{p}: {a}" for p, a in columns)), shares)}
"""
