"""Stage 3: each denoiser by itself on L_D, conditioned on text and on its own modality (CoDi sect. 3.3)."""

import random
from functools import partial

import torch
from torch import Tensor

from codi_minimal.alignment import environment_modules
from codi_minimal.data import WRITTEN
from codi_minimal.diffusion import diffusion_loss
from codi_minimal.training.conditions import mixed_condition
from codi_minimal.training.fit import Step
from codi_minimal.training.ranks import mean_of_all
from codi_minimal.training.run import Run
from codi_minimal.training.streams import build_cache, tabulated

# ε_text learns the captions of these modalities in turn; those of clips state the most. Others are paired with text
PAIRED_WITH = {"text": ("image", "video", "audio", "video")}


def denoiser_step(run: Run, stage: str, name: str) -> Step:
    """A step of ε_name on L_D, on pairs with text, without any environment.

    The latents are those of the other modality of the pair if it is `name`, else those of new captions. Times are
    u = s v / (1 + (s − 1) v) of uniform v, with s the stage's shift (Esser et al. 2024, eq. 23): what many positions
    share, such as the colour of a clip, is decided where noise is strong, at times that few uniform draws would reach.
    """
    cfg, corpus, modalities = run.config.train, run.corpus, run.model.modalities
    turns = [m for m in PAIRED_WITH.get(name, (name,)) if ("text", m) in corpus.pairings]
    caches = {other: build_cache(run, ("text", other)) for other in sorted(set(turns))}
    c_text, net = tabulated(modalities["text"].prompt, corpus), run.graphed(modalities[name].denoiser)
    encode = None if name in caches else tabulated(modalities[name].encode, corpus)
    loss = partial(diffusion_loss, net, schedule=run.model.schedule, prediction=run.config.model.prediction)
    s = run.stage(stage).shift

    def step(i: int, generator: torch.Generator) -> dict[str, Tensor]:
        rng, other = random.Random(generator.initial_seed()), turns[i % len(turns)]
        cache, batch = caches[other], run.batch(stage)
        idx = torch.randint(len(cache.drawn), (batch,), generator=generator)
        z0 = encode(cache.drawn.captions(rng, idx, WRITTEN)) if encode else cache.latents[name][idx]
        shown = cache.prompts[other][idx]
        # the second caption makes mixtures of three; what one prompt alone says is weaker in them
        true = [c_text(cache.drawn.captions(rng, idx)), shown, c_text(cache.drawn.captions(rng, idx))]
        foreign = corpus.distractors(name, batch, rng)
        extra = None if foreign is None else c_text(foreign)
        cond = mixed_condition(true, extra, generator, cfg.p_null, cfg.cond_noise, cfg.p_single)
        v = torch.rand(batch, generator=generator)
        u = s * v / (1 + (s - 1) * v)
        t, eps = (run.config.model.T * u).long(), modalities[name].noise(batch, generator)
        mean = loss(z0, t.to(run.device), eps.to(run.device), cond=cond)
        return {"loss": mean_of_all(mean, run.stage(stage).batch)}

    return step


def train_denoiser(run: Run, name: str, start_from: str | None = None) -> None:
    """Trains ε_name; `start_from`: the modality whose trained denoiser gives it its first weights."""
    stage, denoiser = f"denoiser-{name}", run.model.modalities[name].denoiser
    if start_from is not None and run.further is None:
        denoiser.start_from(run.model.modalities[start_from].denoiser)
    run.fit(stage, denoiser, denoiser_step(run, stage, name), frozen=environment_modules(denoiser))
