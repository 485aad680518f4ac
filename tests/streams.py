"""Streams by themselves, with tiny random networks, and what is computed while they are denoised."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch

from codi_minimal.diffusion import make_sampler
from codi_minimal.recipe import Recipe
from codi_minimal.recipes import PAPER
from codi_minimal.sample import GivenStream, Shared, Stream
from tests.models import PROMPTS, random_codi


def stream(name: str = "image", steps: int = 4, sampler: str = "ddim", seed: int = 0) -> Stream:
    """A stream of two samples at z_T, whose network has no guidance."""
    model = random_codi()
    m, generators = model.modalities[name], [torch.Generator().manual_seed(seed + k) for k in range(2)]
    z = torch.cat([m.noise(1, generator) for generator in generators])
    return Stream(m, z, m.denoiser, make_sampler(sampler, model.schedule, steps), generators)


def given_stream(name: str = "image", steps: int = 4, held: bool = False) -> GivenStream:
    """A given stream of two samples: the item of `PROMPTS`, and another one."""
    model = random_codi()
    m, item = model.modalities[name], PROMPTS[name]
    x = [item, "a green two"] if isinstance(item, str) else torch.stack([item, item.flip(0)])
    sampler = make_sampler("ddim", model.schedule, steps)
    return GivenStream(m, x, m.encode(x), m.initial_noise([4, 5]), model.schedule, sampler, held)


def shared(recipe: Recipe = PAPER, **changes) -> Shared:
    """What the streams of a batch share: without a prompt, if nothing else is given."""
    return Shared(random_codi(), replace(recipe, **changes))


def calls(streams: Mapping[str, Stream], run: Callable[[], object]) -> list[tuple[str, str, int]]:
    """("V" or "net", stream, t) of each environment and of each denoiser that is computed during `run`, in order."""
    seen, handles = [], []
    for name, s in streams.items():
        for what, module in (("V", s.modality.environment), ("net", s.modality.denoiser)):

            def look(_module, args, _output, what=what, name=name):
                seen.append((what, name, int(args[1][0])))

            handles.append(module.register_forward_hook(look))
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    return seen
