"""Asking a model for many samples: in batches that fit a small memory, with one progress bar for all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from tqdm import tqdm


def part(data: Any, start: int, stop: int) -> Any:
    """Samples start … stop - 1 of a tensor or list of captions, or of each in a dict or list of them."""
    if isinstance(data, Mapping):
        return {name: part(value, start, stop) for name, value in data.items()}
    if isinstance(data, list) and data and not isinstance(data[0], str):
        return [part(value, start, stop) for value in data]
    return data[start:stop]


def join(parts: Sequence[Any]) -> Any:
    """Batches of one modality, one after the other."""
    return (
        torch.cat(list(parts))
        if isinstance(parts[0], torch.Tensor)
        else [x for batch in parts for x in batch]
    )


def to_device(data: Any, device: torch.device | str) -> Any:
    """A tensor moved; captions stay as they are."""
    return data.to(device) if isinstance(data, torch.Tensor) else data


@dataclass
class Sampler:
    """A model, a seed, and a bar that counts the samples made.

    Args:
        model: what has `generate` as CoDi does.
        seed: of all samples; every batch of a call has its own, so that no two prompts share their noise.
        options: further arguments of `generate`, for instance steps.
        batch: samples at a time.
    """

    model: Any
    seed: int = 0
    options: dict = field(default_factory=dict)
    batch: int = 64
    bar: tqdm | None = None

    def __call__(
        self, prompts: Mapping[str, Any], outputs: Sequence[str], n: int, joint: bool = True
    ) -> dict[str, Any]:
        """n samples: one for each of n prompts a modality, or without prompts just n."""
        batches = []
        for start in range(0, n, self.batch):
            stop = min(start + self.batch, n)
            batches.append(
                self.model.generate(
                    prompts=part(prompts, start, stop),
                    outputs=tuple(outputs),
                    num_samples=1 if prompts else stop - start,
                    joint=joint,
                    seed=self.seed + start,
                    **self.options,
                )
            )
            if self.bar is not None:
                self.bar.update((stop - start) * len(outputs))
        return {name: to_device(join([batch[name] for batch in batches]), "cpu") for name in outputs}
