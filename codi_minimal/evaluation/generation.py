"""Many samples of a model: in batches, by one process or several, with one progress bar for all."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, pairwise
from typing import Any

import torch
from joblib import Parallel, delayed
from tqdm import tqdm

from codi_minimal.inputs import join


def part(data: Any, start: int, stop: int) -> Any:
    """Samples start … stop - 1 of a tensor or list of captions, or of each in a list of several prompts."""
    if isinstance(data, list) and data and not isinstance(data[0], str):
        return [part(value, start, stop) for value in data]
    return data[start:stop]


def to_device(data: Any, device: torch.device | str) -> Any:
    """A tensor moved; captions stay as they are."""
    return data.to(device) if isinstance(data, torch.Tensor) else data


def scene_generator(seed: int, stream: int) -> torch.Generator:
    """Draws one set of scenes of a run. The streams 0 … 999 of a seed are apart from those of any other small seed."""
    return torch.Generator().manual_seed((1000 * seed + stream) % 2**63)


@dataclass
class BatchedModel:
    """A model that is asked for many samples: it makes them in batches, and counts them on a bar.

    Args:
        model: has `generate` as CoDi does.
        seed: of all samples. Every batch of a call has its own, so that no two prompts share their noise.
        options: further arguments of `generate`, for instance steps.
        batch: samples at a time, at most.
        workers: processes that make batches, each with a copy of the model; 1 uses this process alone.
        role: what prompts are to `generate`: "prompts", or streams that are "given".
    """

    model: Any
    seed: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)
    batch: int = 32
    bar: tqdm | None = None
    workers: int = 1
    role: str = "prompts"

    def __call__(self, prompts: Mapping[str, Any], outputs: Sequence[str], n: int, **options: Any) -> dict[str, Any]:
        """n samples: one for each of n prompts a modality, or without prompts just n."""
        (made,) = self.many([(prompts, outputs)], n, **options)
        return made

    def many(
        self, requests: Sequence[tuple[Mapping[str, Any], Sequence[str]]], n: int, **options: Any
    ) -> Iterator[dict[str, Any]]:
        """n samples for each of several (prompts, outputs), in their order, in batches of about one size."""
        count = math.ceil(n / self.batch)
        jobs = [
            {
                self.role: {name: part(data, start, stop) for name, data in prompts.items()},
                "outputs": tuple(outputs),
                "num_samples": 1 if prompts else stop - start,
                "seed": (self.seed + start) % 2**63,
                **self.options,
                **options,
            }
            for prompts, outputs in requests
            for start, stop in pairwise(n * i // count for i in range(count + 1))
        ]
        made = Parallel(self.workers, return_as="generator")(delayed(self.model.generate)(**job) for job in jobs)
        for _, outputs in requests:
            parts = list(islice(made, count))
            if self.bar is not None:
                self.bar.update(n * len(outputs))
            yield {name: to_device(join([part[name] for part in parts]), "cpu") for name in outputs}
        next(made, None)  # joblib ends its workers when a generator is dropped before its end
