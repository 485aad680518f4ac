"""Ours, the baseline: one stream after the other, each a prompt for those that follow.

Source: pipelines of generators. Later outputs cannot change earlier ones.
Buys: nothing. It is the baseline, which simultaneous generation has to beat.
Without it: remove this file and its lines in `recipes.py`; `CASCADE` then denoises all streams together.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from codi_minimal.config import checked
from codi_minimal.recipe import Addition
from codi_minimal.sample import GivenStream, Shared, Stream, joint_sample


@checked
class Cascade(Addition):
    """Outputs are generated in order of the size of their latents, the smallest first.

    Each finished output becomes a prompt for the later ones, with its clock tokens. Its weight is that of all prompts
    of the call together. A given stream counts as finished from the start.
    """

    def loop(self, shared: Shared, streams: Mapping[str, Stream]) -> bool:
        prompts = [] if shared.cond is None else [shared.cond]
        for stream in sorted(streams.values(), key=turn):
            if isinstance(stream, GivenStream):
                stream.hold()
            else:
                joint_sample(shared, {stream.modality.name: stream})
            prompts.append(prompt_of(shared, stream))
            tokens = [*shared.tokens, stream.modality.environment.clock_tokens(stream.z)]
            shared = replace(shared, cond=F.normalize(sum(prompts), dim=-1), tokens=tokens)
        return True


def turn(stream: Stream) -> tuple[bool, int, str]:
    """What streams are sorted by: given streams, then the size of a latent, then the name."""
    return not isinstance(stream, GivenStream), stream.z[0].numel(), stream.modality.name


def prompt_of(shared: Shared, stream: Stream) -> Tensor:
    """C_m (b, d) of what a finished stream shows; zeros for what the prompt encoder refuses, as an empty caption."""
    name, made = stream.modality.name, stream.data()
    c = torch.zeros(len(made), shared.model.config.model.d, device=stream.z.device)
    for i in range(len(made)):
        with suppress(ValueError):
            c[i] = shared.model.encode_prompt(name, made[i : i + 1])[0]
    return c
