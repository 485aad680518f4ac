"""The data of latent alignment: samples of the four pairings in turn. A step sees two modalities, and no third."""

import random
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from codi_minimal.data import OPEN, PAIRINGS, WRITTEN
from codi_minimal.training.cache import build_cache, tabulated
from codi_minimal.training.conditions import mixed_condition
from codi_minimal.training.prompts import same_meaning
from codi_minimal.training.run import Run

TEXT_IMAGE, TEXT_AUDIO, TEXT_VIDEO, AUDIO_VIDEO = PAIRINGS
TURNS = {
    "environment": PAIRINGS,
    # audio and video meet in every other step: the onset, which only they share, can be learned nowhere else
    "joint": (TEXT_IMAGE, AUDIO_VIDEO, TEXT_AUDIO, AUDIO_VIDEO, TEXT_VIDEO, AUDIO_VIDEO),
    "beside-text": (TEXT_IMAGE, TEXT_VIDEO, TEXT_AUDIO, TEXT_VIDEO),
    "beside-image": (TEXT_IMAGE,),
    "beside-audio": (AUDIO_VIDEO, AUDIO_VIDEO, AUDIO_VIDEO, TEXT_AUDIO),
    "beside-video": (AUDIO_VIDEO, AUDIO_VIDEO, AUDIO_VIDEO, TEXT_VIDEO),
}
ALIKE = 0.08  # hard negatives come from this share of the samples, those whose prompts are nearest to one of them
P_NULL = 0.5  # half of the samples have no prompt, so that the environment is the only condition


@dataclass(frozen=True)
class Pair:
    """n samples of two modalities: latents z0[m], prompts C_m(x_m), and a condition C (n, d) with rows of zeros.

    `positives` (n, n): which of their captions mean the same; None without captions. `alike`: the prompts of all
    samples are nearly the same, and only their timing tells them apart.
    """

    z0: dict[str, Tensor]
    prompts: dict[str, Tensor]
    cond: Tensor
    positives: Tensor | None
    alike: bool


def nearest(prompts: Tensor, idx: Tensor, generator: torch.Generator) -> Tensor:
    """As many different samples whose prompts (n, d) are nearest to that of the first of idx: hard negatives for L_Con.

    Their prompts do not tell them apart, so that V must encode what prompts leave out.
    """
    near = (prompts @ prompts[idx[0]]).topk(min(len(prompts), max(len(idx), int(ALIKE * len(prompts))))).indices
    return near[torch.randperm(len(near), generator=generator)[: len(idx)]]  # none of them twice


def open_streams(run: Run, stage: str) -> Callable[[int, torch.Generator], Pair]:
    """Builds or reads the caches of a stage's pairings; returns the function that draws the samples of step i."""
    cfg, turns, text = run.config.train, TURNS[stage], run.model.modalities["text"]
    caches = {pairing: build_cache(run, pairing) for pairing in dict.fromkeys(turns)}
    encode, prompt = tabulated(text.encode), tabulated(text.prompt)

    def draw(i: int, generator: torch.Generator) -> Pair:
        cache = caches[turns[i % len(turns)]]
        rng = random.Random(int(torch.randint(2**62, (), generator=generator)))
        alike = len(cache.latents) == 2 and bool(torch.rand((), generator=generator) < 0.5)
        idx = torch.randint(len(cache.drawn), (run.stage(stage).batch,), generator=generator)
        idx = nearest(next(iter(cache.prompts.values())), idx, generator) if alike else idx
        z0, prompts = ({m: x[idx].to(run.device) for m, x in of.items()} for of in (cache.latents, cache.prompts))
        true, positives = list(prompts.values()), None
        if len(z0) == 1:  # the other stream is text
            captions = cache.drawn.captions(rng, idx, WRITTEN)
            z0, prompts = {"text": encode(captions), **z0}, {"text": prompt(captions), **prompts}
            true = [prompt(cache.drawn.captions(rng, idx, OPEN)), *true]
            positives = same_meaning(captions).to(run.device)
        cond = mixed_condition(true, None, generator, P_NULL, cfg.cond_noise, cfg.p_single)
        return Pair(z0, prompts, cond, positives, alike)

    return draw
