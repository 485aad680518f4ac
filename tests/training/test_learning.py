"""Stages learn what they should: after seconds of training the right prompt or partner beats another sample's.

The samples are those of `numbered`, each with a fixed random latent and prompt in every modality; the networks and the
steps are the real ones.
"""

import random
from dataclasses import replace
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from codi_minimal.alignment import Environment, EnvironmentEncoder, add_environment, environment_modules, wire
from codi_minimal.codi import CoDi
from codi_minimal.config import Stage, preset
from codi_minimal.data import VOCABULARY, load
from codi_minimal.denoisers import UNet
from codi_minimal.diffusion import Schedule, diffusion_loss
from codi_minimal.training import denoisers, joint, prompts, streams
from codi_minimal.training.run import Run as RealRun
from tests.training import numbered
from tests.training.numbered import NAMES, heard

pytestmark = pytest.mark.slow

D, SHAPE = 16, (4, 8)
N = 12  # samples
NUMBERS = torch.arange(N)


def table(name: str, *shape: int) -> Tensor:
    """A fixed random tensor for each number."""
    return torch.randn(N, *shape, generator=torch.Generator().manual_seed(len(name) + ord(name[0])))


class Modality(nn.Module):
    """Real networks over latents and prompts that are looked up."""

    latent_shape = SHAPE
    costly = False

    def __init__(self, name: str):
        super().__init__()
        self.name = name
        self.latents, self.prompts = table(name, *SHAPE), F.normalize(table(name + "prompt", D), dim=-1)
        self.denoiser = UNet(SHAPE, widths=(32, 32), embed=32, tokens=2, d=D)
        self.environment = EnvironmentEncoder(SHAPE, "b e l -> b 1 l e", {}, 0, 32, 32, 1, summary=2)
        add_environment(self.denoiser, 32)

    def encode(self, captions: list[str]) -> Tensor:
        return self.latents[[heard(text) for text in captions]]

    def prompt(self, captions: list[str]) -> Tensor:
        """What is not of the samples has the embedding zero, as nothing has."""
        numbers = torch.tensor([heard(text) for text in captions])
        return self.prompts[numbers] * (numbers >= 0)[:, None]

    def noise(self, b: int, generator: torch.Generator) -> Tensor:
        return torch.randn(b, *SHAPE, generator=generator)


class Run(numbered.Run):
    """Trains by plain Adam."""

    def fit(self, name: str, modules: nn.Module, step, frozen=(), in_turn=False) -> None:
        for m in self.model.modalities.values():
            m.requires_grad_(False)
        modules.requires_grad_(True)
        for module in frozen:
            module.requires_grad_(False)
        weights = [p for p in modules.parameters() if p.requires_grad]
        optimizer = torch.optim.Adam(weights, self.stage(name).lr)
        for i in range(self.stage(name).steps):
            optimizer.zero_grad()
            step(i, torch.Generator().manual_seed(i))["loss"].backward()
            optimizer.step()


@pytest.fixture
def run(monkeypatch):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        modalities = {name: Modality(name) for name in NAMES}

    def build_cache(run, pairing):
        others = [m for m in pairing if m != "text"]
        latents = {m: modalities[m].latents for m in others}
        return numbered.Cache(numbered.Drawn(), latents, {m: modalities[m].prompts for m in others})

    for room in (denoisers, streams):
        monkeypatch.setattr(room, "build_cache", build_cache)
        monkeypatch.setattr(room, "tabulated", lambda f, corpus: f)
    monkeypatch.setattr(numbered, "N", N)
    made = numbered.numbered_run()
    stages = {"denoiser-image": Stage(150, 32, 3e-3), "environment": Stage(500, 24, 5e-3), "joint": Stage(40, 16, 3e-3)}
    config = replace(made.config, train=replace(made.config.train, stages=stages, env_noise=0.1))
    made.model.config, made.model.modalities, made.model.schedule = config, modalities, Schedule("cosine", 1000)
    return Run(config, made.model)


def loss_of(run, cond: Tensor | None, env: Environment | None = None) -> float:
    """L_D of the images of all samples, where next to nothing can be seen of them."""
    m = run.model.modalities["image"]
    eps = m.noise(N, torch.Generator().manual_seed(9))
    loss = partial(diffusion_loss, m.denoiser, m.latents, torch.full((N,), 900), eps, run.model.schedule)
    with torch.no_grad():
        return float(loss(cond=cond, env=env))


def test_a_denoiser_learns_from_the_prompt(run):
    denoisers.train_denoiser(run, "image")
    for name in ("image", "text"):
        prompts = run.model.modalities[name].prompts
        right, wrong, none = (loss_of(run, c) for c in (prompts, prompts.roll(1, 0), 0 * prompts))
        assert right < 0.5 * none < 0.5 * wrong, name


def test_latent_alignment_learns_from_the_partner(run):
    denoisers.train_denoiser(run, "image")
    net = run.model.modalities["image"].denoiser
    before = {name: p.clone() for name, p in net.named_parameters()}
    joint.train_environment(run)
    joint.train_joint(run)
    attention = {id(p) for module in environment_modules(net) for p in module.parameters()}
    assert {id(p) in attention for name, p in net.named_parameters() if not torch.equal(p, before[name])} == {True}
    with torch.no_grad():
        t, partner = torch.full((N,), 300), run.model.modalities["text"]
        z_t = 0.9 * partner.latents + 0.4 * partner.noise(N, torch.Generator().manual_seed(3))
        own = run.model.modalities["image"].environment(run.model.modalities["image"].latents, t)
        env = wire({"image": own, "text": partner.environment(z_t, t)})["image"]
    right, wrong, none = (loss_of(run, None, e) for e in (env, Environment.of([env.tokens.roll(1, 0)]), None))
    assert right < 0.7 * none and right < 0.7 * wrong


def test_a_bridge_brings_captions_to_their_own_images(tmp_path):
    config = preset("tiny")
    config = replace(config, train=replace(config.train, stages={"prompts-text-image": Stage(80, 48, 5e-3)}))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = CoDi(config, VOCABULARY)
    run = RealRun(model, load(None, hub=False), tmp_path, progress=False)
    prompts.train_bridge(run, "image")
    drawn = run.corpus.pairs(("text", "image")).draw(128, torch.Generator().manual_seed(1))
    captions = model.modalities["text"].prompt(drawn.captions(random.Random(0)))
    images = model.modalities["image"].prompt(drawn.render("image"))
    own, other = ((captions * x).sum(dim=-1) for x in (images, images.roll(1, 0)))
    assert (own > other).double().mean() > 0.75


@pytest.fixture(autouse=True)
def built_in_sample(monkeypatch):
    monkeypatch.delenv("CODI_DATA", raising=False)
