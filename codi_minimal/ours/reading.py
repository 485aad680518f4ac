"""Ours: L_Read, which teaches the environment to predict what the frozen prompt encoders give for clean latents.

Source: our own; it applies the idea of bridging alignment (CoDi sect. 3.2) to noisy latents.
Buys: digit among all four .56 with L_Read before any L_Cross, .00 with L_Cross alone ("What was tried" in
docs/experiments.md).
Without it: remove this file and its lines in `recipes.py`; V and the attention are then trained on L_Cross + λ L_Con.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from codi_minimal.alignment import Environment, gather
from codi_minimal.config import checked
from codi_minimal.recipe import Addition


@checked
class Reading(Addition):
    """Adds L_Read to the loss of latent alignment, as a mean over all denoisers, not only the two of the pair."""

    def loss(
        self,
        model: Any,
        seen: Mapping[str, Tensor],
        prompts: Mapping[str, Tensor],
        cond: Tensor,
        generator: torch.Generator,
    ) -> Tensor | None:
        train, losses = model.config.train, []
        if train.wiring not in ("others", "pooled"):  # no stream sees another, so that there is nothing to read
            return None
        for m in model.modalities.values():
            names = random.Random(int(torch.randint(2**62, (), generator=generator))).sample(list(seen), len(seen))
            names = names[: 1 + int(torch.rand((), generator=generator) < 0.5)]  # one stream of the pair, or both
            env = gather([seen[name] for name in names], train.wiring)
            noise = torch.randn(tuple(env.tokens.shape), generator=generator).to(env.tokens)
            env = env.noisy(train.env_noise * noise)
            losses.append(reading_loss(m.denoiser.environment_attention, env, [prompts[name] for name in names], cond))
        return sum(losses) / len(losses)


def reading_loss(
    reader: Callable[[Tensor, Environment], Tensor], env: Environment, streams: Sequence[Tensor], cond: Tensor
) -> Tensor:
    """L_Read = ‖C + R(C, V) − (C + Σ_B C_B) / n‖², where R is a denoiser's attention from C to the environment.

    n is the number of streams B, plus 1 where there is a prompt.

    Bridging alignment has put the prompts C_B(x_B) of all modalities into one space that every denoiser reads. Here V
    learns to predict, from z_t^B alone, what the frozen C_B gives for the clean x_B. The minimiser is the conditional
    mean; its norm is small where z_t^B carries little information. No paired data are needed, so that every denoiser
    learns to read every stream.

    Args:
        reader: (C (b, 1, d), env) → residual (b, 1, d).
        env: the tokens of all `streams`, and of nothing else.
        streams: C_B(x_B) (b, d) of each of them.
        cond: C (b, d); rows of zeros are no prompt.
    """
    prompted = (cond.abs().sum(dim=-1, keepdim=True) > 0).to(cond)                          # b 1
    mixture = (cond + sum(streams)) / (prompted + len(streams))
    return (cond + reader(cond[:, None], env)[:, 0] - mixture).square().sum(dim=-1).mean()
