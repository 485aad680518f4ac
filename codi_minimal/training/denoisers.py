"""Stage 3: each denoiser by itself on L_D, conditioned on text and on its own modality (CoDi sect. 3.3)."""

import random
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from codi_minimal.alignment import environment_modules
from codi_minimal.data import WRITTEN
from codi_minimal.diffusion import diffusion_loss, shifted
from codi_minimal.training.cache import Cache, CaptionTable, build_cache
from codi_minimal.training.conditions import distractors, mixed_condition
from codi_minimal.training.run import Run

TURNS = ("image", "video", "audio", "video")  # whose captions ε_text is trained on: clips have the most to be said of


Step = Callable[[int, torch.Generator], dict[str, Tensor]]


def loss_at_random_t(
    run: Run, stage: str, name: str, net: Callable[..., Tensor], z0: Tensor, cond: Tensor, generator: torch.Generator
) -> Tensor:
    """L_D of modality `name` at t in 0 … T−1, uniform but for the stage's shift."""
    u = shifted(torch.rand(len(z0), generator=generator), run.stage(stage).shift)
    t = (run.config.model.T * u).long().to(run.device)
    eps = run.model.modalities[name].noise(len(z0), generator).to(run.device)
    return diffusion_loss(net, z0, t, eps, run.model.schedule, cond=cond, prediction=run.config.model.prediction)


def denoiser_step(run: Run, stage: str, name: str) -> Step:
    """A step of ε_name on L_D, on pairs of text and `name`, no other stream in sight."""
    return _on_pairs(run, stage, name, (name,), lambda cache, idx, rng: cache.latents[name][idx].to(run.device))


def text_denoiser_step(run: Run, stage: str, name: str) -> Step:
    """A step of ε_text on L_D, on pairs of text with others in turn; captions are both targets and prompts."""
    encode = CaptionTable(run.model.modalities[name].encode)
    return _on_pairs(run, stage, name, TURNS, lambda cache, idx, rng: encode(cache.captions(idx, rng, WRITTEN)))


def _on_pairs(
    run: Run, stage: str, name: str, turns: Sequence[str], target: Callable[[Cache, Tensor, random.Random], Tensor]
) -> Step:
    """Steps on pairs of text with `turns`; `target`: the z_0 of samples of a pair's cache.

    The second caption is there for mixtures of more than two prompts, where what only one of them says is faint.
    """
    cfg, c_text = run.config.train, CaptionTable(run.model.modalities["text"].prompt)
    caches = {other: build_cache(run, ("text", other)) for other in sorted(set(turns))}
    batch, net = run.stage(stage).batch, run.compiled(run.model.modalities[name].denoiser)

    def step(i: int, generator: torch.Generator) -> dict[str, Tensor]:
        rng, other = random.Random(generator.initial_seed()), turns[i % len(turns)]
        cache = caches[other]
        idx = torch.randint(len(cache), (batch,), generator=generator)
        z0, shown = target(cache, idx, rng), cache.prompts[other][idx].to(run.device)
        true = [c_text(cache.captions(idx, rng)), shown, c_text(cache.captions(idx, rng))]
        foreign = distractors(name, batch, rng)
        extra = None if foreign is None else c_text(foreign)
        cond = mixed_condition(true, extra, generator, cfg.p_null, cfg.cond_noise, cfg.p_single)
        return {"loss": loss_at_random_t(run, stage, name, net, z0, cond, generator)}

    return step


def train_denoiser(
    run: Run, name: str, start_from: str | None = None, alone: Callable[[Run, str, str], Step] = denoiser_step
) -> None:
    """Train ε_name by the steps of `alone`; `start_from`: a trained denoiser whose weights it takes over at first."""
    stage, denoiser = f"denoiser-{name}", run.model.modalities[name].denoiser
    if start_from is not None and run.further is None:
        denoiser.start_from(run.model.modalities[start_from].denoiser)
    run.fit(stage, denoiser, alone(run, stage, name), frozen=environment_modules(denoiser))
