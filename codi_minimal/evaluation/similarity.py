"""The cosine of outputs in the prompt space: the paper's measure of joint generation."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from codi_minimal.evaluation.statistics import Estimate, mean


@torch.no_grad()
def similarity(
    model: Any, samples: Mapping[str, Any], items: Sequence[Tensor] = (), batch: int = 128
) -> dict[str, Estimate]:
    """Mean cos(C_a(x_a), C_b(x_b)) over n samples, for each pair of modalities, as "cosine a–b".

    A sample that the prompt encoder refuses, an empty caption or values that are not finite, has the cosine 0.

    Args:
        model: has `encode_prompt` as CoDi does.
        samples: modality → n samples; the i-th samples were generated together.
        items: the recordings and glyphs that the samples show, where they are real renders.
        batch: the number of samples that are embedded at a time.
    """
    embeddings = {name: _embed(model, name, data, batch) for name, data in samples.items()}
    cosines = {(a, b): (embeddings[a] * embeddings[b]).sum(1) for a, b in combinations(embeddings, 2)}
    return {f"cosine {a}–{b}": mean(values, items) for (a, b), values in cosines.items()}


def _embed(model: Any, name: str, data: Any, batch: int) -> Tensor:
    good = [i for i, x in enumerate(data) if (x.isfinite().all() if isinstance(x, Tensor) else x.strip())]
    rows = {}
    for at in range(0, len(good), batch):
        some = good[at : at + batch]
        items = data[some] if isinstance(data, Tensor) else [data[i] for i in some]
        rows |= dict(zip(some, F.normalize(model.encode_prompt(name, items).cpu(), dim=-1), strict=True))
    nothing = torch.zeros_like(next(iter(rows.values()), torch.zeros(1)))
    return torch.stack([rows.get(i, nothing) for i in range(len(data))])
