"""The prompts that a denoiser is trained on: text, its own modality, and mixtures, against the modality gap.

A denoiser that has only seen C_text(y) does worse on C_audio(y): contrastive training leaves each modality in a cone
of its own (Liang et al. 2022). Hence a share of own-modality prompts and of mixtures, and a little noise on all.
"""

import random
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from codi_minimal.data import ATTRIBUTES_OF, WORDS, caption, sample_subset


def distractors(name: str, n: int, rng: random.Random) -> list[str] | None:
    """n captions that say only what modality `name` cannot show, or None where it can show all that text can say.

    "Sliding left" says nothing about an image; mixed into its prompt, it teaches the denoiser to pass it over.
    """
    foreign = tuple(a for a in WORDS if a not in ATTRIBUTES_OF[name])
    if not foreign:
        return None
    subsets = (sample_subset(foreign, rng) for _ in range(n))
    return [caption({a: rng.choice(WORDS[a]) for a in subset}, rng) for subset in subsets]


def mixed_condition(
    true: Sequence[Tensor],
    extra: Tensor | None,
    generator: torch.Generator,
    p_null: float,
    noise: float,
    p_single: tuple[float, float] = (0.4, 0.2),
) -> Tensor:
    """One condition a sample (b, d): a single prompt, or C = Σ w_i C_i of several, noise added; zeros for no prompt.

    Args:
        true: two or more batches (b, d) of prompts that are true of the sample; the first is text, the second the one
            of another kind (of audio and video, which have no text, one each).
        extra: prompts that say nothing about it, or None; only ever mixed in.
        p_null: share of zero rows. noise: σ a component.
        p_single: how often the condition is one text, and how often one prompt of the other kind; else a mixture.
    """
    b, device = len(true[0]), true[0].device
    pool = torch.stack([*true, *([] if extra is None else [extra])])                        # k b d

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator).to(device)

    w = -(1 - uniform(len(pool), b)).log() * (uniform(len(pool), b) < 0.6)                  # Dirichlet, some left out
    certain = torch.randint(len(true), (b,), generator=generator).to(device)
    w = w + F.one_hot(certain, len(pool)).T * (0.3 + uniform(b))                            # one true prompt at least
    kind = uniform(b)
    single = (kind >= p_single[0]).long()
    w = torch.where((kind < sum(p_single))[None], F.one_hot(single, len(pool)).T.to(w), w)
    cond = torch.einsum("kb,kbd->bd", w / w.sum(dim=0), pool)
    # a mixture is shorter than a single prompt that says the same; half of them are brought to the same length
    cond = torch.where((uniform(b) < 0.5)[:, None], F.normalize(cond, dim=-1), cond)
    cond = cond + noise * torch.randn(cond.shape, generator=generator).to(device)
    return cond * (uniform(b) >= p_null)[:, None]
