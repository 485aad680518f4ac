"""Pairs that are rendered and encoded once: autoencoders and prompt encoders are frozen by then."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from codi_minimal.checkpoint import check_named, digest, read_tensors, write_tensors
from codi_minimal.codi import CoDi
from codi_minimal.config import TrainConfig
from codi_minimal.data import KEPT, Drawn, Pairs
from codi_minimal.data.captions import sentences
from codi_minimal.training.run import Run

CHUNK = 128


@dataclass(frozen=True)
class Cache:
    """Samples of one pair: latents and prompt embeddings of what is not text, and fresh captions at every call.

    `latents[m]` (n, *latent_shape) and `prompts[m]` (n, d) for the modalities m of the pair but text.
    """

    drawn: Drawn
    latents: dict[str, Tensor]
    prompts: dict[str, Tensor]

    def __len__(self) -> int:
        return len(self.drawn)

    @property
    def pairing(self) -> tuple[str, str]:
        """The names of the pair."""
        return self.drawn.pairing

    def captions(self, idx: Tensor, rng: random.Random, kept: Mapping[str, float] = KEPT) -> list[str]:
        """New captions of samples idx: other words each time, for the same scenes; `kept` as in `data.captions`."""
        return self.drawn.captions(rng, idx, kept)


class CaptionTable:
    """f(caption) of a frozen f for every caption of the grammar, computed once: there are a few thousand.

    Args:
        f: list of captions → (b, ...), for instance C_text or the text encoder.
    """

    @torch.no_grad()
    def __init__(self, f: Callable[[list[str]], Tensor]) -> None:
        captions = list(dict.fromkeys(caption for caption, _ in sentences()))
        self.row = {caption: i for i, caption in enumerate(captions)}
        self.table = torch.cat([f(captions[i : i + CHUNK]) for i in range(0, len(captions), CHUNK)])

    def __call__(self, captions: Sequence[str]) -> Tensor:
        return self.table[[self.row[caption] for caption in captions]]


def cache_size(model: CoDi, pairing: Sequence[str], plan: TrainConfig) -> int:
    """How many samples of a pair are encoded once: fewer where one of the two is costly."""
    return plan.video_cache if any(model.modalities[m].costly for m in pairing) else plan.cache


@torch.no_grad()
def build_cache(run: Run, pairing: Sequence[str]) -> Cache:
    """Draw, render and encode one pair's samples, or read what an earlier start of this run has left in its folder."""
    name = "-".join(pairing)
    path, generator = run.folder / f"cache-{name}.safetensors", run.generator(name)
    n = cache_size(run.model, pairing, run.config.train)
    drawn = Pairs(run.source, pairing).draw(n, generator)
    names = [m for m in pairing if m != "text"]
    # else captions would be of other scenes, or latents of other encoders
    made_of = {"seed": str(run.seed), "n": str(n), "source": run.source.identity, "encoders": _encoders(run, names)}
    if path.exists():
        tensors, metadata = read_tensors(path)
        for key, value in made_of.items():
            if metadata.get(key) != value:
                came = f"expected {path} to be of {key} {value}, got {metadata.get(key)}"
                raise ValueError(f"{came}: remove it, or choose another folder")
        shapes = {f"latent.{m}": run.model.modalities[m].latent_shape for m in names}
        shapes |= {f"prompt.{m}": (run.config.model.d,) for m in names}
        expected = {key: torch.empty(n, *shape, device="meta") for key, shape in shapes.items()}
        check_named(expected, tensors, f"the cache {path}")
        tensors = {key: tensor.float() for key, tensor in tensors.items()}
    else:
        parts: dict[str, list[Tensor]] = {}
        for start in range(0, n, CHUNK):
            for m in names:
                modality = run.model.modalities[m]
                x = drawn.render(m, slice(start, start + CHUNK), generator).to(run.device)
                parts.setdefault(f"latent.{m}", []).append(modality.encode(x).cpu())
                parts.setdefault(f"prompt.{m}", []).append(modality.prompt(x).cpu())
        tensors = {key: torch.cat(chunks).contiguous() for key, chunks in parts.items()}
        path.parent.mkdir(parents=True, exist_ok=True)  # it may be the first thing that a run leaves
        write_tensors(path, tensors, made_of)
    return Cache(drawn, {m: tensors[f"latent.{m}"] for m in names}, {m: tensors[f"prompt.{m}"] for m in names})


def _encoders(run: Run, names: Sequence[str]) -> str:
    """The fingerprint of the autoencoders and prompt encoders of these modalities.

    It is of their trained parameters. Scale and shift, which are measured after the training, are left out: they may
    differ by a rounding on another machine.
    """
    parts = [part for m in names for part in (run.model.modalities[m].autoencoder, run.model.modalities[m].prompt)]
    return digest(dict(nn.ModuleList(parts).named_parameters()))
