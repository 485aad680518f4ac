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
from codi_minimal.data import Corpus, Source, TalkingDigits
from codi_minimal.training.fit import Step, fit
from codi_minimal.training.graphs import graphed
from codi_minimal.training.order import needs
from codi_minimal.training.ranks import own_share, ranks
from codi_minimal.training.state import FitResult


@dataclass
class Run:
    """A model in training, its data, and the folder of all its files.

    Args:
        corpus: a `Source` stands for Talking Digits made of it.
        watch: watch(stage, steps done) is called before each stage, and at `looks` steps of it, see `log_spaced`.
        further: the finished checkpoint that the weights come from, "" for the one that ships; None: from nothing.
        start: the fingerprint of these weights; "" if the seed draws them. done: results of the finished stages.
        caches: the folder of what is encoded once; None: `folder`.
    """

    model: CoDi
    corpus: Corpus | Source
    folder: Path
    seed: int = 0
    progress: bool = True
    watch: Callable[[str, int], None] | None = None
    looks: int = 4
    further: str | None = None
    start: str = ""
    caches: Path | None = None
    done: dict[str, FitResult] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        if isinstance(self.corpus, Source):
            self.corpus = TalkingDigits(self.corpus)
        if isinstance(self.corpus, TalkingDigits):
            self.corpus = self.corpus.to(self.device)

    @property
    def config(self) -> Config:
        return self.model.config

    @property
    def device(self) -> torch.device:
        return self.model.device

    def stage(self, name: str) -> StageConfig:
        """Steps, batch and learning rate of a stage."""
        return self.config.train.stages[name]

    def batch(self, name: str) -> int:
        """How many samples of a stage's batch this rank draws."""
        return own_share(self.stage(name).batch)

    def graphed(self, net: nn.Module) -> Callable[..., Tensor]:
        """A network that a step calls once; as CUDA graphs if the config asks for them, on a GPU, with one rank."""
        return graphed(net) if self.config.train.compile and self.device.type == "cuda" and ranks() == 1 else net

    def generator(self, name: str) -> torch.Generator:
        """A generator for what a stage draws once, outside its steps; it is the same each time the run is started."""
        return torch.Generator().manual_seed((self.seed * 1009 + sum(map(ord, name))) % 2**63)

    def depends(self, name: str) -> dict[str, Any]:
        """What a stage's result depends on: data, sizes, settings, first weights, and the stages that it needs."""
        config, order = asdict(self.config), list(self.config.train.stages)
        before = [stage for stage in needs(name, order) if stage in self.done]
        parts = {"stage": config["train"].pop("stages")[name], "train": config["train"], "model": config["model"]}
        parts["after"] = {stage: self.done[stage].weights for stage in before}
        settings = {f"{part}.{key}": value for part, values in parts.items() for key, value in values.items()}
        return {"data": self.corpus.identity, "start": self.start, **settings}

    def fit(
        self, name: str, modules: nn.Module, step: Step, frozen: Iterable[nn.Module] = (), in_turn: bool = False
    ) -> FitResult:
        """Trains `modules` less `frozen`, and nothing else; resumes what was interrupted, and loads what is done.

        Raises:
            ValueError: the data is not the training split that the config's `split_seed` fixes.
        """
        corpus, stage, train = self.corpus, self.stage(name), self.config.train
        if (corpus.split, corpus.split_seed) != ("train", train.split_seed):  # it may hold samples of validation
            came = f"{corpus.split} with {corpus.split_seed}"
            raise ValueError(f"expected data of the split train with split_seed {train.split_seed}, got {came}")
        self.model.requires_grad_(False).eval()
        if self.watch:
            self.watch(name, 0)
        modules.requires_grad_(True).train()
        for module in frozen:
            module.requires_grad_(False).eval()
        try:
            self.done[name] = fit(
                modules, step, name=name, steps=stage.steps, lr=stage.lr, ema=train.ema, autocast=train.autocast,
                folder=self.folder, seed=self.seed, progress=self.progress, depends=self.depends(name),
                samples=self.watch and partial(self.watch, name), sample_at=log_spaced(stage.steps, self.looks),
                in_turn=in_turn,
            )  # fmt: skip
            return self.done[name]
        finally:
            self.model.requires_grad_(False).eval()


def log_spaced(steps: int, n: int) -> list[int]:
    """The last of `steps` steps and up to n - 1 before it, each at a third of the next.

    Raises:
        ValueError: if a number is below 1.

    >>> log_spaced(500, 4), log_spaced(5, 4)
    ([18, 55, 166, 500], [1, 5])
    """
    if steps < 1 or n < 1:
        raise ValueError(f"expected steps >= 1 and n >= 1; got {steps} and {n}")
    return [steps // 3**k for k in range(n - 1, -1, -1) if steps >= 3**k]


def randn(shape: tuple[int, ...], generator: torch.Generator, device: torch.device) -> Tensor:
    """Noise on `device`, drawn on the CPU where generators live, so that every device gets the same numbers."""
    return torch.randn(shape, generator=generator).to(device)
