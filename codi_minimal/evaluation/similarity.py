"""How near outputs lie to each other in the prompt space: the paper's measure of joint generation (sect. 4.3)."""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import torch
from torch import Tensor


@torch.no_grad()
def similarity(model: Any, samples: Mapping[str, Any], batch: int = 128) -> dict[str, float]:
    """Mean cos(C_a(x_a), C_b(x_b)) over n samples, for each pair of the modalities there are, as "a–b".

    Args:
        model: what has `encode_prompt` as CoDi does.
        samples: modality → n samples, the i-th of each made together.
    """
    embeddings = {name: _embed(model, name, data, batch) for name, data in samples.items()}
    return {
        f"{a}–{b}": float((embeddings[a] * embeddings[b]).sum(1).mean()) for a, b in combinations(embeddings, 2)
    }


def _embed(model: Any, name: str, data: Any, batch: int) -> Tensor:
    parts = [model.encode_prompt(name, data[i : i + batch]) for i in range(0, len(data), batch)]
    return torch.nn.functional.normalize(torch.cat(parts).cpu(), dim=-1)
