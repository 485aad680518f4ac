"""Stage 4, latent alignment: V and the cross-attention to it, on L_Cross + λ L_Con, with all else frozen (sect. 3.3).

The paper trains pair after pair, freezing what is aligned already. Here the pairs take turns, step by step: no pairing
forgets another, and no order is special. Either way a step sees two modalities, and pairs grow linearly in number.
"""

import random
from functools import partial

import torch
from torch import Tensor, nn

from codi_minimal.alignment import contrastive_loss, cross_loss, wire
from codi_minimal.data import PAIRINGS
from codi_minimal.diffusion import diffusion_loss, q_sample
from codi_minimal.prompts import Temperature, repeated
from codi_minimal.training.cache import Cache, CaptionTable, build_cache
from codi_minimal.training.conditions import mixed_condition
from codi_minimal.training.denoisers import environment_modules
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


def train_joint(run: Run) -> None:
    """Train all V_m and all environment attention on the four pairings in turn."""
    cfg, stage, model = run.config.train, run.stage("joint"), run.model
    T, summary = run.config.model.T, run.config.model.summary
    caches = [build_cache(run, pairing) for pairing in PAIRINGS]
    text = CaptionTable(model.modalities["text"].encode), CaptionTable(model.modalities["text"].prompt)
    temperature = Temperature().to(run.device)
    modules = nn.ModuleDict({"temperature": temperature})
    for name, m in model.modalities.items():
        modules[f"environment-{name}"] = m.environment
        modules[f"attention-{name}"] = nn.ModuleList(environment_modules(m.denoiser))
    loss = partial(diffusion_loss, schedule=model.schedule, prediction=run.config.model.prediction)

    def tokens(z0: dict[str, Tensor], t: Tensor, eps: dict[str, Tensor]) -> dict[str, Tensor]:
        return {m: model.modalities[m].environment(q_sample(model.schedule, z, t, eps[m]), t) for m, z in z0.items()}

    def noise_like(z0: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        return {m: randn(tuple(z.shape), generator, run.device) for m, z in z0.items()}

    def earlier(t: Tensor, generator: torch.Generator) -> Tensor:
        """The times of the others: the same, as when all are generated, or earlier, as for a prompt, which is at 0."""
        share = torch.rand(len(t), generator=generator).to(run.device)
        u = torch.rand(len(t), generator=generator).to(run.device)
        u = torch.where(u < 0.3, torch.zeros_like(u), u)  # a share of them exactly at 0
        return torch.where(share < P_AHEAD, (t * u).long(), t)

    def bridged(env: Tensor, own: Tensor, generator: torch.Generator) -> Tensor:
        """The environment with some rows the own modality's, some absent, and noise: robust to any mix."""
        u = torch.rand(len(env), generator=generator).to(run.device)[:, None, None]
        env = torch.where(u < cfg.p_own, own[:, : env.shape[1]], env)
        env = env + cfg.env_noise * randn(tuple(env.shape), generator, run.device)
        return env * (u < 1 - cfg.p_null)

    def step(i: int, generator: torch.Generator) -> dict[str, Tensor]:
        cache = caches[i % len(caches)]
        z0, prompts, _ = draw_pair(run, cache, text, stage.batch, generator)
        z0_con, _, positives = draw_pair(run, cache, text, 2 * stage.batch, generator)
        cond = mixed_condition(prompts, None, generator, P_NULL, cfg.cond_noise)
        t = torch.randint(T, (stage.batch,), generator=generator).to(run.device)
        eps = noise_like(z0, generator)
        t_env = earlier(t, generator)
        env = wire(tokens(z0, t_env, eps), summary, cfg.wiring)
        if cfg.wiring == "others":
            with torch.no_grad():
                own = tokens(z0, t_env, noise_like(z0, generator))
            env = {m: bridged(e, own[m], generator) for m, e in env.items()}
        cross = cross_loss(loss, {m: model.modalities[m].denoiser for m in z0}, env, z0, t, eps, cond)

        # one t for all: with several, V could match the pairs by their noise level alone
        t = torch.randint(T, (1,), generator=generator).expand(2 * stage.batch).to(run.device)
        con = contrastive_loss(*tokens(z0_con, t, noise_like(z0_con, generator)).values(), temperature(), positives)
        return {
            "loss": sum(cross.values()) + cfg.lam * con,
            **{f"cross_{m}": value for m, value in cross.items()},
            f"contrastive_{'-'.join(z0)}": con,
        }

    run.fit("joint", modules, step)
