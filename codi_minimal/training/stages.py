"""All stages in their order, and `train`, which goes through them."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch

from codi_minimal.codi import CoDi
from codi_minimal.config import Config, preset
from codi_minimal.data import VOCABULARY, load
from codi_minimal.device import best_device
from codi_minimal.training.autoencoders import draw_stills, train_autoencoder, train_vocoder
from codi_minimal.training.denoisers import train_denoiser, train_text_denoiser
from codi_minimal.training.joint import train_joint
from codi_minimal.training.prompts import train_bridge
from codi_minimal.training.run import Run

STAGES: dict[str, Callable[[Run], None]] = {
    "autoencoder-image": partial(train_autoencoder, name="image", draw_batch=draw_stills),
    "autoencoder-audio": partial(train_autoencoder, name="audio"),
    "autoencoder-text": partial(train_autoencoder, name="text"),
    "vocoder": train_vocoder,
    "prompts-text-image": partial(train_bridge, name="image"),
    "prompts-text-audio": partial(train_bridge, name="audio"),
    "prompts-text-video": partial(train_bridge, name="video"),
    "denoiser-image": partial(train_denoiser, name="image"),
    "denoiser-audio": partial(train_denoiser, name="audio"),
    "denoiser-text": train_text_denoiser,
    "denoiser-video": partial(train_denoiser, name="video", start_from="image"),
    "joint": train_joint,
}


def train(
    config: str | Config = "small",
    data: str | Path | None = None,
    out: str | Path = "runs/small",
    device: str | None = None,
    stages: Sequence[str] | None = None,
    seed: int = 0,
    progress: bool = True,
) -> CoDi:
    """Train CoDi from nothing, stage after stage; what is done is loaded, what was interrupted goes on.

    Args:
        config: a preset's name or a config. data: see `data.load`. out: folder of this run.
        stages: stop after these; each needs those before it, which are then loaded (or trained). None: all.

    Returns:
        The model, also saved to `out`/model once all stages are done.
    """
    config = preset(config) if isinstance(config, str) else config
    if unknown := set(stages or ()) - set(STAGES):
        raise ValueError(f"expected stages out of {', '.join(STAGES)}, got {sorted(unknown)}")
    torch.manual_seed(seed)  # the initial weights; all later draws have generators of their own
    model = CoDi(config, VOCABULARY).to(best_device(device), memory_format=torch.channels_last)
    run = Run(model, load(data), Path(out), seed, progress)
    wanted = list(STAGES) if stages is None else [*STAGES][: max([*STAGES].index(s) for s in stages) + 1]
    for name in wanted:
        STAGES[name](run)
    if wanted == list(STAGES):
        model.save_pretrained(Path(out) / "model")
    return model
