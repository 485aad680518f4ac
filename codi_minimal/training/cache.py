"""Pairs that are rendered and encoded once: the autoencoders and prompt encoders are frozen by then."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from codi_minimal.checkpoint import copy_named, digest, read_tensors, write_tensors
from codi_minimal.codi import CoDi
from codi_minimal.config import TrainConfig
from codi_minimal.data import Drawn, Pairs
from codi_minimal.data.captions import sentences
from codi_minimal.training.run import Run
from codi_minimal.training.state import ADVICE

CHUNK = 128


@dataclass(frozen=True)
class Cache:
    """Samples of one pairing; `drawn` makes new captions of them at every call.

    `latents[m]` (n, *latent_shape) and `prompts[m]` (n, d) are those of the modalities m other than text.
    """

    drawn: Drawn
    latents: dict[str, Tensor]
    prompts: dict[str, Tensor]


@torch.no_grad()
def tabulated(f: Callable[[list[str]], Tensor]) -> Callable[[Sequence[str]], Tensor]:
    """A frozen f, list of captions → (b, ...), computed once for every caption of the grammar, a few thousand."""
    row = {caption: i for i, caption in enumerate(dict.fromkeys(caption for caption, _ in sentences()))}
    captions = list(row)
    table = torch.cat([f(captions[i : i + CHUNK]) for i in range(0, len(captions), CHUNK)])
    return lambda captions: table[[row[caption] for caption in captions]]


def cache_size(model: CoDi, pairing: Sequence[str], plan: TrainConfig) -> int:
    """How many samples of a pairing are encoded once; fewer if one of its modalities is costly."""
    return plan.video_cache if any(model.modalities[m].costly for m in pairing) else plan.cache


@torch.no_grad()
def build_cache(run: Run, pairing: Sequence[str]) -> Cache:
    """Draws, renders and encodes the samples of a pairing, or reads what an earlier start has left in the run's folder.

    Raises:
        ValueError: the file there is damaged, or of another seed, other data, or other encoders.
    """
    name, n = "-".join(pairing), cache_size(run.model, pairing, run.config.train)
    path, generator = run.folder / f"cache-{name}.safetensors", run.generator(name)
    drawn = Pairs(run.source, pairing).draw(n, generator)
    encoded = {m: run.model.modalities[m] for m in pairing if m != "text"}
    # of the trained parameters alone: another machine may round the scale and shift, measured afterwards, differently
    encoders = nn.ModuleList(part for m in encoded.values() for part in (m.autoencoder, m.prompt))
    made_of = {"seed": str(run.seed), "n": str(n), "source": run.source.identity}
    made_of["encoders"] = digest(dict(encoders.named_parameters()))
    tensors = {f"latent.{m}": torch.empty(n, *modality.latent_shape) for m, modality in encoded.items()}
    tensors |= {f"prompt.{m}": torch.empty(n, run.config.model.d) for m in encoded}
    if path.exists():
        kept, metadata = read_tensors(path)
        for key, value in made_of.items():
            if (came := metadata.get(key)) != value:
                raise ValueError(f"expected {path} to be of {key} {value}, got {came}: {ADVICE}")
        copy_named(tensors, kept, f"the cache {path}")
    else:
        for rows in (slice(start, start + CHUNK) for start in range(0, n, CHUNK)):
            for m, modality in encoded.items():
                x = drawn.render(m, rows, generator).to(run.device)
                tensors[f"latent.{m}"][rows], tensors[f"prompt.{m}"][rows] = modality.encode(x), modality.prompt(x)
        path.parent.mkdir(parents=True, exist_ok=True)  # it may be the first file of a run
        write_tensors(path, tensors, made_of)
    return Cache(drawn, *({m: tensors[f"{kind}.{m}"] for m in encoded} for kind in ("latent", "prompt")))
