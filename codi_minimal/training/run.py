"""What all stages of one training run share."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from codi_minimal.codi import CoDi
from codi_minimal.config import Config
from codi_minimal.config import Stage as StageConfig
from codi_minimal.data import Source
from codi_minimal.training.fit import fit
from codi_minimal.training.record import FitResult


@dataclass
class Run:
    """A model in training, its data, and the folder that all of it is kept in.

    `further`: the finished checkpoint whose weights the model came with, "" for the one that ships; None: it starts
    from nothing. `start`: the fingerprint of these weights; "" if they are the ones that the seed draws. `done`: the
    stages that are finished.
    """

    model: CoDi
    source: Source
    folder: Path
    seed: int = 0
    progress: bool = True
    watch: Callable[[str, int], None] | None = None  # (stage, steps done): before each stage, and a few times in it
    looks: int = 4
    further: str | None = None
    start: str = ""
    done: dict[str, FitResult] = field(default_factory=dict, init=False)

    @property
    def config(self) -> Config:
        return self.model.config

    @property
    def device(self) -> torch.device:
        return self.model.device

    def stage(self, name: str) -> StageConfig:
        """Steps, batch and learning rate of a stage."""
        return self.config.train.stages[name]

    def generator(self, name: str) -> torch.Generator:
        """For what a stage draws once, before its first step; the same at each start."""
        return torch.Generator().manual_seed((self.seed * 1009 + sum(map(ord, name))) % 2**63)

    def depends(self, name: str) -> dict[str, Any]:
        """What the result of a stage depends on: data, sizes, training settings, and the weights before it.

        These are named by the model's `start` and by the fingerprints of the stages that were finished before.
        """
        config = asdict(self.config)
        stages = config["train"].pop("stages")
        before = list(stages)[: list(stages).index(name)]
        parts = {
            "model": config["model"],
            "train": config["train"],
            "stage": stages[name],
            "after": {stage: self.done[stage].weights for stage in before if stage in self.done},
        }
        settings = {f"{part}.{key}": value for part, values in parts.items() for key, value in values.items()}
        return {"data": self.source.identity, "start": self.start, **settings}

    def compiled(self, module: nn.Module) -> nn.Module:
        """The module, compiled where the preset asks for it and there is a GPU to compile for."""
        return torch.compile(module) if self.config.train.compile and self.device.type == "cuda" else module

    def fit(
        self,
        name: str,
        modules: nn.Module,
        step: Callable[[int, torch.Generator], dict[str, Tensor]],
        frozen: Iterable[nn.Module] = (),
    ) -> FitResult:
        """Train `modules` less `frozen`, and nothing else, by `step`; resumes, or loads what is done.

        Raises:
            ValueError: the data is not the training split that the config's `split_seed` fixes.
        """
        source, split_seed = self.source, self.config.train.split_seed
        if (source.split, source.split_seed) != ("train", split_seed):  # else validation samples would be trained on
            came = f"{source.split} with {source.split_seed}"
            raise ValueError(f"expected data of the split train with split_seed {split_seed}, got {came}")
        stage, train = self.stage(name), self.config.train
        self.model.requires_grad_(False).eval()
        if self.watch:
            self.watch(name, 0)
        modules.requires_grad_(True).train()
        for module in frozen:
            module.requires_grad_(False).eval()
        try:
            self.done[name] = fit(
                modules,
                step,
                steps=stage.steps,
                lr=stage.lr,
                folder=self.folder,
                name=name,
                ema=train.ema,
                seed=self.seed,
                autocast=train.autocast,
                progress=self.progress,
                samples=self.watch and partial(self.watch, name),
                sample_every=max(1, stage.steps // self.looks),
                depends=self.depends(name),
            )
            return self.done[name]
        finally:
            self.model.requires_grad_(False).eval()


def randn(shape: tuple[int, ...], generator: torch.Generator, device: torch.device) -> Tensor:
    """Noise of the generator's device, the CPU's, wherever it is needed: the same run on every device."""
    return torch.randn(shape, generator=generator).to(device)
