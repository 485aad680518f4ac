"""What streams learn from beside each other: the four pairings in turn, with their prompts, and with hard negatives.

A step sees two modalities, and no third.
"""

import random
from dataclasses import dataclass

import torch
from torch import Tensor

from codi_minimal.data import OPEN, PAIRINGS, WRITTEN
from codi_minimal.training.cache import Cache, CaptionTable, build_cache
from codi_minimal.training.conditions import mixed_condition
from codi_minimal.training.prompts import same_meaning
from codi_minimal.training.run import Run

TURNS = {
    "environment": PAIRINGS,
    # audio and video meet in every other step: what only they share, the onset, can be learned nowhere else
    "joint": (
        ("text", "image"), ("audio", "video"), ("text", "audio"), ("audio", "video"), ("text", "video"),
        ("audio", "video"),
    ),
    "beside-text": (("text", "image"), ("text", "video"), ("text", "audio"), ("text", "video")),
    "beside-image": (("text", "image"),),
    "beside-audio": (("audio", "video"), ("audio", "video"), ("audio", "video"), ("text", "audio")),
    "beside-video": (("audio", "video"), ("audio", "video"), ("audio", "video"), ("text", "video")),
}  # fmt: skip
ALIKE = 0.08  # hard negatives come from this share of the samples, those whose prompts are nearest to one of them
P_NULL = 0.5  # half of the steps' samples have no prompt: then the environment is all there is to go by


@dataclass(frozen=True)
class Pair:
    """n samples of two modalities: latents z0[m], prompts C_m(x_m), a prompt of both (or none), and who says the same.

    `alike`: all of them do, as far as a prompt can say, and only when it happens tells one from another.
    """

    z0: dict[str, Tensor]
    prompts: dict[str, Tensor]
    cond: Tensor
    positives: Tensor | None
    alike: bool


@dataclass(frozen=True)
class Streams:
    """Where a stage's pairs come from: samples of its pairings, and the latents and prompts of all captions."""

    run: Run
    stage: str
    caches: dict[tuple[str, str], Cache]
    encode: CaptionTable
    prompt: CaptionTable

    def draw(self, i: int, generator: torch.Generator) -> Pair:
        """The samples of step i; the pairings take turns."""
        run, turns = self.run, TURNS[self.stage]
        cache = self.caches[turns[i % len(turns)]]
        rng = random.Random(int(torch.randint(2**62, (), generator=generator)))
        alike = len(cache.latents) == 2 and bool(torch.rand((), generator=generator) < 0.5)
        idx = torch.randint(len(cache), (run.stage(self.stage).batch,), generator=generator)
        idx = self.alike(cache, idx, generator) if alike else idx
        z0 = {m: z[idx].to(run.device) for m, z in cache.latents.items()}
        prompts = {m: p[idx].to(run.device) for m, p in cache.prompts.items()}
        say, positives = list(prompts.values()), None
        if len(z0) == 1:  # the other stream is text
            captions = cache.captions(idx, rng, WRITTEN)
            z0 = {"text": self.encode(captions), **z0}
            prompts = {"text": self.prompt(captions), **prompts}
            say = [self.prompt(cache.captions(idx, rng, OPEN)), *say]
            positives = same_meaning(captions).to(run.device)
        cfg = run.config.train
        cond = mixed_condition(say, None, generator, P_NULL, cfg.cond_noise, cfg.p_single)
        return Pair(z0, prompts, cond, positives, alike)

    @staticmethod
    def alike(cache: Cache, idx: Tensor, generator: torch.Generator) -> Tensor:
        """As many different samples whose prompts are nearest to that of the first: hard negatives for L_Con.

        It can tell most pairs apart by what a prompt would say; among these, V must look at what no prompt says.
        """
        prompts = next(iter(cache.prompts.values()))
        near = (prompts @ prompts[idx[0]]).topk(min(len(cache), max(len(idx), int(ALIKE * len(cache))))).indices
        return near[torch.randperm(len(near), generator=generator)[: len(idx)]]  # none of them twice


def open_streams(run: Run, stage: str) -> Streams:
    """Build or read the caches of the pairings that take turns in a stage."""
    text = run.model.modalities["text"]
    caches = {pairing: build_cache(run, pairing) for pairing in dict.fromkeys(TURNS[stage])}
    return Streams(run, stage, caches, CaptionTable(text.encode), CaptionTable(text.prompt))
