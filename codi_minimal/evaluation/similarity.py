"""How near outputs lie to each other in the prompt space: the paper's measure of joint generation."""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


@torch.no_grad()
def similarity(model: Any, samples: Mapping[str, Any], batch: int = 128) -> dict[str, float]:
    """Mean cos(C_a(x_a), C_b(x_b)) over n samples, for each pair of the modalities there are, as "a–b".

    What a prompt encoder would refuse, an empty caption or values that are not finite, is as far as can be: cosine 0.

    Args:
        model: what has `encode_prompt` as CoDi does.
        samples: modality → n samples, the i-th of each made together.
        batch: samples embedded at a time.
    """
    embeddings = {name: _embed(model, name, data, batch) for name, data in samples.items()}
    return {
        f"{a}–{b}": float((embeddings[a] * embeddings[b]).sum(1).mean()) for a, b in combinations(embeddings, 2)
    }


def _embed(model: Any, name: str, data: Any, batch: int) -> Tensor:
    good = [i for i, x in enumerate(data) if (x.isfinite().all() if isinstance(x, Tensor) else x.strip())]
    rows = {}
    for at in range(0, len(good), batch):
        some = good[at : at + batch]
        items = data[some] if isinstance(data, Tensor) else [data[i] for i in some]
        rows |= dict(zip(some, F.normalize(model.encode_prompt(name, items).cpu(), dim=-1), strict=True))
    nothing = torch.zeros_like(next(iter(rows.values()), torch.zeros(1)))
    return torch.stack([rows.get(i, nothing) for i in range(len(data))])
