"""Training of the judges: real renders, roughened so that they can judge what a decoder makes, too."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from einops import rearrange, reduce
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from codi_minimal.checkpoint import atomic_write
from codi_minimal.data import Source
from codi_minimal.data.world import World
from codi_minimal.evaluation.classifiers import JUDGES_FILE, DigitNet, Judges
from codi_minimal.evaluation.readers import items_of
from codi_minimal.evaluation.statistics import share
from codi_minimal.inputs import check_whole
from codi_minimal.lock import alone_in

JUDGE_BATCH = 64


def train_classifiers(
    source: Source, folder: str | Path, seed: int = 0, steps: int = 700, progress: bool = False
) -> Judges:
    """Train both classifiers on real renders of `source`, or read them from `folder` if they lie there.

    Args:
        source: of the split "train". All of it is used, since the shares of the pairings restrict the model alone.
        folder: where `judges.safetensors` is read from or written to.
        seed: of initial weights, scenes and augmentation. On the CPU two runs agree.
        steps: of AdamW with a one-cycle learning rate: batches of 64 images and 64 frames, and of 64 sounds.

    Raises:
        ValueError: another split; a seed outside [0, 2**63); weights in `folder` that are damaged, or another training
            at work in it.
        OSError: `folder` cannot be written; nothing has been trained yet.
    """
    seed, path = check_whole("seed", seed, 0), Path(folder) / JUDGES_FILE
    if source.split != "train":
        raise ValueError(f"expected data of the split train for judges, got {source.split}")
    if path.exists():
        return Judges.load(path)
    with alone_in(folder), torch.random.fork_rng(devices=[]):  # weights and dropout come from the global generator
        torch.manual_seed(seed)
        judges = Judges()
        world, generator = World(source), torch.Generator().manual_seed(seed)
        _fit(judges.image_net, lambda: _pictures(world, generator), steps, "image judge" * progress)
        _fit(judges.audio_net, lambda: _sounds(world, judges, generator), steps, "audio judge" * progress)
        judges.save(path)
    return Judges.load(path)  # in half precision, as it will be read


def judge_accuracy(judges: Judges, source: Source, folder: str | Path, n: int = 2000, seed: int = 1) -> dict:
    """Share of right digits on n real renders a modality, and its interval; also written to judges.json."""
    scene, renders = World(source).sample(n, torch.Generator().manual_seed(seed))
    found = {}
    for name in judges.looks:
        right = judges.look(name, renders[name])[0].argmax(1) == scene.digit
        found[name] = share(right, items=items_of([name], scene))
    report = {
        "accuracy": {name: estimate.value for name, estimate in found.items()},
        "interval": {name: list(estimate.interval) for name, estimate in found.items()},
    } | {"n": n, "seed": seed, "source": source.name}
    atomic_write(Path(folder) / "judges.json", f"{json.dumps(report, indent=2)}\n".encode())
    return report


def _fit(net: DigitNet, draw: Callable[[], tuple[Tensor, Tensor]], steps: int, title: str) -> None:
    optimizer = torch.optim.AdamW(net.parameters(), lr=4e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    net.train()
    for _ in tqdm(range(steps), desc=title, disable=not title):
        x, digit = draw()
        loss = F.cross_entropy(net(x)[0], digit, label_smoothing=0.05)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    net.eval()


def _pictures(world: World, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Ink "b 1 h w" of images and of as many frames of videos, blurred, noisy, of any brightness; and digits."""
    scene, renders = world.sample(JUDGE_BATCH, generator)
    frame = torch.randint(renders["video"].shape[1], (JUDGE_BATCH,), generator=generator)
    x = torch.cat([renders["image"], renders["video"][torch.arange(JUDGE_BATCH), frame]]).amax(1, keepdim=True)
    uniform = partial(torch.rand, len(x), 1, 1, 1, generator=generator)
    x = x.lerp(F.avg_pool2d(x, 3, 1, 1), uniform())
    x = x * (0.7 + 0.3 * uniform())
    x = x + 0.1 * uniform() * torch.randn(x.shape, generator=generator)
    return x.clamp(0, 1), scene.digit.repeat(2)


def _sounds(world: World, judges: Judges, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Log-mels of sounds, each at its own speed, loudness and noise, smeared, bands and moments masked; and digits."""
    scene, renders = world.sample(JUDGE_BATCH, generator)

    def uniform(low: float, high: float, axes: int) -> Tensor:
        return low + (high - low) * torch.rand(JUDGE_BATCH, *[1] * axes, generator=generator)

    x, speed, shift = renders["audio"], uniform(0.85, 1.18, 1), uniform(-0.1, 0.1, 1)
    at = (torch.linspace(-1, 1, x.shape[1]) - 2 * shift) * speed  # later by a share of the length, and faster
    grid = rearrange(torch.stack([at, torch.zeros_like(at)], -1), "b s xy -> b 1 s xy")
    x = rearrange(F.grid_sample(rearrange(x, "b s -> b 1 1 s"), grid, align_corners=True), "b 1 1 s -> b s")
    x = x * uniform(0.4, 1.2, 1)
    x = x + uniform(0, 0.01, 1) * torch.randn(x.shape, generator=generator)
    mel = judges.log_mel(x.clamp(-1, 1))
    mel = mel.lerp(F.avg_pool2d(mel, 3, 1, 1), uniform(0, 1, 3))
    for axis in (2, 3):  # one masked stripe of up to 8 bands or moments each (Park et al. 2019)
        at = rearrange(torch.arange(mel.shape[axis]), "l -> l 1" if axis == 2 else "l -> 1 l")
        start, width = uniform(0, mel.shape[axis], 3), uniform(0, 8, 3)
        mel = torch.where((at >= start) & (at < start + width), reduce(mel, "b c m n -> b 1 1 1", "min"), mel)
    return mel, scene.digit
