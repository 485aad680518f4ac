"""A world in which latents, prompts, captions and tokens all carry the number of their sample.

Stages train fakes here: nothing is learned, but what a step combines can be read off what the fakes were given.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import torch
from torch import Tensor, nn

from codi_minimal.config import Config, Stage, preset
from codi_minimal.data import COLOURS, DIGITS, Corpus, TalkingDigits, caption, parse
from codi_minimal.diffusion import Schedule
from codi_minimal.ours.reading import Reading
from codi_minimal.training.streams import TURNS, Cache

N = 30  # samples: ten digits in three colours
D, CLOCK, SUMMARY = 3, 16, 2
D_ENV = 4 + CLOCK
TIMES = {"text": 0, "image": 0, "audio": 8, "video": 8}  # clock tokens
NAMES = list(TIMES)
SCHEDULE = Schedule("cosine", 1000, dtype=torch.float64)


def say(number: int, rng: random.Random) -> str:
    """A caption of sample `number`: its digit and its colour, in one of many ways."""
    return caption({"digit": DIGITS[number % 10], "colour": list(COLOURS)[number // 10]}, rng)


def heard(text: str) -> int:
    """The number of the sample that a caption is of; -1 for one of something else."""
    said = parse(text) or {}
    if set(said) != {"digit", "colour"}:
        return -1
    return DIGITS.index(said["digit"]) + 10 * list(COLOURS).index(said["colour"])


def embedding(numbers: Sequence[int] | Tensor) -> Tensor:
    """A prompt (b, 3) for each number: its angle in a half plane, so that sums of the same number keep it.

    The number -1, which is of no sample, is the third axis.
    """
    k = torch.as_tensor(numbers, dtype=torch.float64)
    angle = 0.1 * (k + 1)
    return torch.stack([angle.cos() * (k >= 0), angle.sin() * (k >= 0), (k < 0).double()], dim=-1).float()


def number_of(cond: Tensor) -> Tensor:
    """The numbers of conditions (b, 3); -1 for a row without one."""
    angle = torch.atan2(cond[..., 1], cond[..., 0])
    return torch.where(cond[..., :2].norm(dim=-1) > 1e-6, (angle / 0.1).round() - 1, -1).long()


def latents(numbers: Tensor) -> Tensor:
    """z_0 (b, 2): the number plus one, and zero."""
    return torch.stack([numbers.double() + 1, torch.zeros(len(numbers), dtype=torch.float64)], dim=-1)


def number_of_noisy(z_t: Tensor, t: Tensor) -> Tensor:
    """The number of z_t (b, 2) at t (b,): noise is only ever in the second component."""
    return (z_t[:, 0] / SCHEDULE.alpha_sigma(t, z_t)[0][:, 0]).round().long() - 1


class Denoiser(nn.Module):
    """Predicts v without an error from z_t alone, `off` everywhere else; remembers what it was given."""

    def __init__(self, name: str):
        super().__init__()
        self.name, self.off = name, 0.0
        self.weight = nn.Parameter(torch.zeros(()))
        self.environment_attention = Reader()
        self.calls: list[SimpleNamespace] = []
        self.started_from: nn.Module | None = None

    def start_from(self, other: nn.Module) -> None:
        self.started_from = other

    def forward(self, z_t: Tensor, t: Tensor, cond: Tensor | None = None, env: Tensor | None = None) -> Tensor:
        # tokens that are not there are zeros here, so that tests need not look at the mask
        shown = None if env is None else env.tokens * env.present[..., None]
        self.calls.append(SimpleNamespace(number=number_of_noisy(z_t, t), t=t, cond=cond, env=shown))
        alpha, sigma = (x[:, 0] for x in SCHEDULE.alpha_sigma(t, z_t))
        z0, eps = z_t[:, 0] / alpha, z_t[:, 1] / sigma
        return torch.stack([-sigma * z0, alpha * eps], dim=-1) + self.off + 0 * self.weight


class Reader(nn.Module):
    """The attention of a condition to the environment; remembers what it was given."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))


class Environment(nn.Module):
    """V_m: tokens of (number + 1, modality + 1, t + 1, 1), with codes of ones for the clock's."""

    summary, d_env = SUMMARY, D_ENV

    def __init__(self, name: str):
        super().__init__()
        self.name, self.clock = name, TIMES[name]
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, z_t: Tensor, t: Tensor) -> Tensor:
        number = number_of_noisy(z_t, t)
        said = torch.stack([number + 1, 0 * number + NAMES.index(self.name) + 1, t + 1, 0 * t + 1], dim=-1).double()
        codes = torch.zeros(SUMMARY + self.clock, CLOCK, dtype=torch.float64)
        codes[SUMMARY:] = 1
        n = SUMMARY + self.clock
        return torch.cat([said[:, None].expand(-1, n, -1), codes.expand(len(t), -1, -1)], dim=-1) + 0 * self.weight


class Prompt(nn.Module):
    """C_m of captions, of numbers (b,), or of what else carries one in its first component."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.started_from: nn.Module | None = None

    def forward(self, data: list[str] | Tensor) -> Tensor:
        numbers = [heard(text) for text in data] if isinstance(data, list) else data.reshape(len(data), -1)[:, 0] - 1
        return embedding(numbers) + 0 * self.weight

    def start_from(self, other: nn.Module) -> None:
        self.started_from = other


class Modality(nn.Module):
    """One fake of every part that a stage uses."""

    latent_shape = (2,)

    def __init__(self, name: str):
        super().__init__()
        self.name, self.costly = name, name == "video"
        self.prompt, self.denoiser, self.environment = Prompt(), Denoiser(name), Environment(name)

    def encode(self, data: list[str]) -> Tensor:
        return latents(torch.tensor([heard(text) for text in data]))

    def noise(self, b: int, generator: torch.Generator) -> Tensor:
        return torch.stack([torch.zeros(b), torch.randn(b, generator=generator)], dim=-1).double()


class Drawn:
    """All N samples of a pair, in their order; as `data.Drawn`."""

    def __len__(self) -> int:
        return N

    def captions(self, rng: random.Random, idx: Tensor, kept: object = None) -> list[str]:
        return [say(int(i), rng) for i in idx]


def build_cache(run: object, pairing: Sequence[str]) -> Cache:
    """As `training.streams.build_cache`."""
    others, all_ = [m for m in pairing if m != "text"], torch.arange(N)
    return Cache(Drawn(), {m: latents(all_) for m in others}, {m: embedding(all_) for m in others})


class Pairs:
    """As `data.Pairs`; a render of a sample is its number plus one. Remembers how much captions were to say."""

    kept: list[object] = []

    def __init__(self, source: object, pairing: Sequence[str], seed: int = 0):
        self.pairing = tuple(pairing)

    def draw(self, n: int, generator: torch.Generator) -> SimpleNamespace:
        numbers = torch.randint(N, (n,), generator=generator)

        def captions(rng: random.Random, kept: object = None) -> list[str]:
            self.kept.append(kept)
            return [say(int(k), rng) for k in numbers]

        return SimpleNamespace(
            numbers=numbers, captions=captions, render=lambda name, generator=None: numbers[:, None].double() + 1
        )


class Numbers(TalkingDigits):
    """As `data.TalkingDigits`, of numbers."""

    def __init__(self) -> None:
        self.split, self.split_seed = "train", 0

    def pairs(self, pairing: Sequence[str]) -> Pairs:
        return Pairs(None, pairing)


@dataclass
class Run:
    """As `training.run.Run`; `fit` trains nothing and keeps what it was given."""

    config: Config
    model: SimpleNamespace
    seed: int = 0
    corpus: Corpus = field(default_factory=Numbers)
    further: str | None = None
    device: torch.device = torch.device("cpu")
    fitted: dict[str, SimpleNamespace] = field(default_factory=dict)

    def stage(self, name: str) -> Stage:
        return self.config.train.stages[name]

    def batch(self, name: str) -> int:
        return self.stage(name).batch

    def graphed(self, net: nn.Module) -> nn.Module:
        return net

    def generator(self, name: str) -> torch.Generator:
        return torch.Generator().manual_seed(len(name))

    def fit(self, name: str, modules: nn.Module, step, frozen=(), in_turn=False) -> None:
        self.fitted[name] = SimpleNamespace(modules=modules, step=step, frozen=list(frozen))


def numbered_run(batch: int = 48, **train: object) -> Run:
    """A run over fakes, without the noise that training adds to conditions and tokens."""
    config = preset("tiny")
    stages = {name: replace(stage, batch=batch) for name, stage in config.train.stages.items()}
    stages |= {name: stages[name.partition("-")[0]] for name in TURNS if name not in stages}  # the links of the chain
    settings = {"stages": stages, "cond_noise": 0.0, "env_noise": 0.0, **train}
    config = replace(config, model=replace(config.model, summary=SUMMARY), train=replace(config.train, **settings))
    modalities = {name: Modality(name) for name in NAMES}
    recipe = SimpleNamespace(additions=(Reading(),))
    return Run(config, SimpleNamespace(config=config, modalities=modalities, schedule=SCHEDULE, recipe=recipe))
