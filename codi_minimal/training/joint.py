"""Stage 4, latent alignment: V and the cross-attention to it, on L_Cross + λ L_Con, with all else frozen (sect. 3.3).

L_Con alone comes first: it needs no denoiser, so a step costs a fifth, and L_Cross then starts from tokens that mean
something.

The paper trains pair after pair, freezing what is aligned already. Here the pairs take turns, step by step: no pairing
forgets another, and no order is special. Either way a step sees two modalities, and pairs grow linearly in number.
"""

import random
from functools import partial

import torch
from torch import Tensor, nn

from codi_minimal.alignment import contrastive_loss, cross_loss, environment_modules, wire
from codi_minimal.data import PAIRINGS
from codi_minimal.diffusion import diffusion_loss, q_sample
from codi_minimal.prompts import Temperature, repeated
from codi_minimal.training.cache import Cache, CaptionTable, build_cache
from codi_minimal.training.conditions import mixed_condition
from codi_minimal.training.run import Run, randn

P_NULL = 0.5  # half of the steps' samples have no prompt: then the environment is all there is to go by
P_AHEAD = 0.4  # how often the environment is ahead of the stream that looks at it, as prompts are


def draw_pair(
    run: Run, cache: Cache, text: tuple[CaptionTable, CaptionTable], n: int, generator: torch.Generator
) -> tuple[dict[str, Tensor], list[Tensor], Tensor | None]:
    """n samples of a pair: both latents, two prompts that are true of both, and which samples say the same."""
    rng = random.Random(int(torch.randint(2**62, (), generator=generator)))
    idx = torch.randint(len(cache), (n,), generator=generator)
    encode, prompt = text
    z0 = {m: z[idx].to(run.device) for m, z in cache.latents.items()}
    prompts = [p[idx].to(run.device) for p in cache.prompts.values()]
    positives = None
    if len(z0) == 1:  # the other stream is text
        captions = cache.captions(idx, rng)
        z0 = {"text": encode(captions), **z0}
        prompts = [prompt(cache.captions(idx, rng)), *prompts]
        positives = repeated(captions).to(run.device)
    return z0, prompts, positives


def streams(run: Run) -> tuple[list[Cache], tuple[CaptionTable, CaptionTable]]:
    """The samples of the four pairings, and the latents and prompts of all captions."""
    text = run.model.modalities["text"]
    caches = [build_cache(run, pairing) for pairing in PAIRINGS]
    return caches, (CaptionTable(text.encode), CaptionTable(text.prompt))


def tokens(run: Run, z0: dict[str, Tensor], t: Tensor, eps: dict[str, Tensor]) -> dict[str, Tensor]:
    """V_m(z_t) of both streams of a pair."""
    schedule, modalities = run.model.schedule, run.model.modalities
    return {m: modalities[m].environment(q_sample(schedule, z, t, eps[m]), t) for m, z in z0.items()}


def noise_like(run: Run, z0: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    """ε of both streams."""
    return {m: randn(tuple(z.shape), generator, run.device) for m, z in z0.items()}


def con(run: Run, cache: Cache, text, n: int, temperature: Temperature, generator: torch.Generator) -> Tensor:
    """L_Con on n samples of a pair, all at one t: with several, V could match the pairs by their noise level alone."""
    z0, _, positives = draw_pair(run, cache, text, n, generator)
    t = torch.randint(run.config.model.T, (1,), generator=generator).expand(n).to(run.device)
    return contrastive_loss(*tokens(run, z0, t, noise_like(run, z0, generator)).values(), temperature(), positives)


def train_environment(run: Run) -> None:
    """Train all V_m on L_Con alone, on the four pairings in turn."""
    caches, text = streams(run)
    modules = nn.ModuleDict({name: m.environment for name, m in run.model.modalities.items()})
    modules["temperature"] = temperature = Temperature().to(run.device)

    def step(i: int, generator: torch.Generator) -> dict[str, Tensor]:
        cache = caches[i % len(caches)]
        loss = con(run, cache, text, run.stage("environment").batch, temperature, generator)
        return {"loss": loss, "-".join(cache.pairing): loss}

    run.fit("environment", modules, step)


def train_joint(run: Run) -> None:
    """Train all V_m and all environment attention on the four pairings in turn."""
    cfg, batch, model = run.config.train, run.stage("joint").batch, run.model
    caches, text = streams(run)
    modules = nn.ModuleDict()
    modules["temperature"] = temperature = Temperature().to(run.device)
    for name, m in model.modalities.items():
        modules[f"environment-{name}"] = m.environment
        modules[f"attention-{name}"] = nn.ModuleList(environment_modules(m.denoiser))
    loss = partial(diffusion_loss, schedule=model.schedule, prediction=run.config.model.prediction)

    def uniform(n: int, generator: torch.Generator) -> Tensor:
        return torch.rand(n, generator=generator).to(run.device)

    def earlier(t: Tensor, generator: torch.Generator) -> Tensor:
        """The times of the others: the same, as when all are generated, or earlier, as for a prompt, which is at 0."""
        share, u = uniform(len(t), generator), uniform(len(t), generator)
        u = torch.where(u < 0.3, torch.zeros_like(u), u)  # a share of them exactly at 0
        return torch.where(share < P_AHEAD, (t * u).long(), t)

    def bridged(env: Tensor, own: Tensor, generator: torch.Generator) -> Tensor:
        """The environment with some rows the own modality's, some absent, and noise: robust to any mix."""
        u = uniform(len(env), generator)[:, None, None]
        env = torch.where(u < cfg.p_own, own[:, : env.shape[1]], env)
        env = env + cfg.env_noise * randn(tuple(env.shape), generator, run.device)
        return env * (u < 1 - cfg.p_null)

    def step(i: int, generator: torch.Generator) -> dict[str, Tensor]:
        cache = caches[i % len(caches)]
        z0, prompts, _ = draw_pair(run, cache, text, batch, generator)
        cond = mixed_condition(prompts, None, generator, P_NULL, cfg.cond_noise)
        t = torch.randint(run.config.model.T, (batch,), generator=generator).to(run.device)
        eps, t_env = noise_like(run, z0, generator), earlier(t, generator)
        env = wire(tokens(run, z0, t_env, eps), run.config.model.summary, cfg.wiring)
        if cfg.wiring == "others":
            with torch.no_grad():
                own = tokens(run, z0, t_env, noise_like(run, z0, generator))
            env = {m: bridged(e, own[m], generator) for m, e in env.items()}
        cross = cross_loss(loss, {m: model.modalities[m].denoiser for m in z0}, env, z0, t, eps, cond)
        l_con = con(run, cache, text, 2 * batch, temperature, generator)
        return {
            "loss": sum(cross.values()) + cfg.lam * l_con,
            **{f"cross_{m}": value for m, value in cross.items()},
            f"con_{'-'.join(cache.pairing)}": l_con,
        }

    run.fit("joint", modules, step)
