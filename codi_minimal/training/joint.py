"""Stage 4, latent alignment: V and the cross-attention to it, on L_Cross + λ L_Con, all else frozen (CoDi sect. 3.4).

The paper trains pair after pair, and freezes what is aligned already. Here the pairs take turns, step by step: no
pairing forgets another, and no order is special. Either way a step sees two modalities, so that the number of pairs
grows linearly with the number of modalities.

Ours: V is trained before, without any denoiser, so that a step costs a fifth; a recipe may add losses (L_Read); and
`shown` varies what a stream is shown of the others.
"""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from codi_minimal.alignment import (
    Environment,
    contrastive_loss,
    environment_modules,
    gather,
    has_clock,
    joint_loss,
    wire,
)
from codi_minimal.diffusion import diffusion_loss, q_sample
from codi_minimal.prompts import Temperature
from codi_minimal.training.run import Run, randn
from codi_minimal.training.streams import Pair, open_streams

CON = 0.1  # weight of L_Con where one of the pair is text: at 1 it drowns L_Read, and V_text never learns the motion
P_AHEAD = 0.5  # how often the environment is ahead of the stream that looks at it
P_CLOCK = 0.25  # how often it has clock tokens alone, as that of a prompt has, whose summary C says better


def tokens(run: Run, z0: dict[str, Tensor], t: Tensor, eps: dict[str, Tensor]) -> dict[str, Tensor]:
    """V_m(z_t) of both streams of a pair."""
    schedule, modalities = run.model.schedule, run.model.modalities
    return {m: modalities[m].environment(q_sample(schedule, z, t, eps[m]), t) for m, z in z0.items()}


def noise_like(run: Run, z0: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    """ε of both streams."""
    return {m: run.model.modalities[m].noise(len(z), generator).to(run.device) for m, z in z0.items()}


def apart_in_time(run: Run, pair: Pair, generator: torch.Generator) -> dict[str, Tensor]:
    """The tokens for L_Con: each stream at times of its own, t = T u^1.5, denser where there is something to see.

    At equal times V could match the pairs by their noise level alone; at one t for the batch, half of all steps would
    compare noise with noise.
    """
    seen = {}
    for m, z in pair.z0.items():
        t = (run.config.model.T * torch.rand(len(z), generator=generator) ** 1.5).long().to(run.device)
        seen |= tokens(run, {m: z}, t, noise_like(run, {m: z}, generator))
    return seen


@torch.no_grad()
def own_tokens(run: Run, name: str, z0: Tensor, t: Tensor, generator: torch.Generator) -> Tensor:
    """V_m of the same latents in other noise: what V says of the stream itself, none of which is its own ε."""
    z0 = {name: z0}
    return tokens(run, z0, t, noise_like(run, z0, generator))[name]


def con(run: Run, pair: Pair, seen: dict[str, Tensor], temperature: Temperature) -> Tensor:
    """L_Con of a pair's tokens; of the clock's alone where all samples say the same."""
    first = run.config.model.summary if pair.alike else 0
    return contrastive_loss(*(v[:, first:] for v in seen.values()), temperature(), pair.positives)


def weight(pair: Pair) -> float:
    """How much L_Con counts: in full where no caption describes what the pair shares."""
    return 1.0 if pair.positives is None else CON


def further(run: Run, pair: Pair, seen: dict[str, Tensor], generator: torch.Generator) -> Tensor:
    """The sum of the losses that the recipe's additions add for a pair's tokens `seen`; 0 without any."""
    losses = (a.loss(run.model, seen, pair.prompts, pair.cond, generator) for a in run.model.recipe.additions)
    return sum((loss for loss in losses if loss is not None), pair.cond.new_zeros(()))


def uniform(n: int, generator: torch.Generator) -> Tensor:
    """n numbers in [0, 1), on the CPU."""
    return torch.rand(n, generator=generator)


def times_of_others(t: Tensor, generator: torch.Generator) -> Tensor:
    """The times of the others: the same; or ahead, as a prompt is, at 0, or a stream that has started earlier."""
    share, u = uniform(len(t), generator), uniform(len(t), generator)
    u = torch.where(u < 0.3, torch.zeros_like(u), u)  # a share of them exactly at 0
    return torch.where((share < P_AHEAD).to(t.device), (t * u.to(t.device)).long(), t)


def shown(
    run: Run, env: Environment, own: Tensor, generator: torch.Generator, clock_alone: Tensor | None = None
) -> Environment:
    """Ours: what a stream is shown of an environment in training; of as many samples as `own` has.

    It is noisy, and a share of the rows is something else or less. Some rows are the stream's own modality's (`own`,
    tokens of the same latents in other noise), some have clock tokens alone, as prompts have (those of `clock_alone`
    (b,) bool, by default P_CLOCK of them), and some have nothing.
    """
    cfg = run.config.train
    tokens, present = (x[: len(own)] for x in env)
    u, v = (uniform(len(own), generator)[:, None].to(own.device) for _ in range(2))
    clock_alone = v < P_CLOCK if clock_alone is None else clock_alone[:, None]
    if cfg.wiring != "own":
        own_env, mine = gather([own], cfg.wiring), u < cfg.p_own
        n = max(tokens.shape[1], own_env.tokens.shape[1])
        own_tokens, tokens = (F.pad(x, (0, 0, 0, n - x.shape[1])) for x in (own_env.tokens, tokens))
        own_present, present = (F.pad(x, (0, n - x.shape[1])) for x in (own_env.present, present))
        tokens, present = torch.where(mine[..., None], own_tokens, tokens), torch.where(mine, own_present, present)
    here = (u < 1 - cfg.p_null) & (has_clock(tokens) | ~clock_alone)
    noise = randn(tuple(tokens.shape), generator, run.device)
    return Environment(tokens, present & here).noisy(cfg.env_noise * noise)


def train_environment(run: Run) -> None:
    """Train all V_m, and the attention of conditions to them, on L_Con and on the additions; pairings take turns."""
    data = open_streams(run, "environment")
    modules = nn.ModuleDict()
    modules["temperature"] = temperature = Temperature().to(run.device)
    for name, m in run.model.modalities.items():
        modules[f"environment-{name}"] = m.environment
        modules[f"reader-{name}"] = m.denoiser.environment

    def step(i: int, generator: torch.Generator) -> dict[str, Tensor]:
        pair = data.draw(i, generator)
        seen = apart_in_time(run, pair, generator)
        more, l_con = further(run, pair, seen, generator), con(run, pair, seen, temperature)
        name = "-".join(pair.z0)
        return {"loss": more + weight(pair) * l_con, f"more_{name}": more, f"con_{name}": l_con}

    run.fit("environment", modules, step)


def train_joint(run: Run) -> None:
    """Train all V_m and all environment attention on the four pairings in turn."""
    cfg, model, data = run.config.train, run.model, open_streams(run, "joint")
    modules = nn.ModuleDict()
    modules["temperature"] = temperature = Temperature().to(run.device)
    for name, m in model.modalities.items():
        modules[f"environment-{name}"] = m.environment
        modules[f"attention-{name}"] = nn.ModuleList(environment_modules(m.denoiser))
    loss = partial(diffusion_loss, schedule=model.schedule, prediction=run.config.model.prediction)

    def step(i: int, generator: torch.Generator) -> dict[str, Tensor]:
        pair = data.draw(i, generator)
        n = len(pair.cond)
        # dense where t is large: while a stream can be seen, it needs no other to tell what it is
        t = (run.config.model.T * uniform(n, generator).sqrt()).long().to(run.device)
        eps, t_env = noise_like(run, pair.z0, generator), t if cfg.wiring == "own" else times_of_others(t, generator)
        seen = tokens(run, pair.z0, t_env, eps)
        rows = {m: max(1, int(n * cfg.clip_share)) if model.modalities[m].costly else n for m in pair.z0}
        env = wire(seen, cfg.wiring)
        for m, k in rows.items():
            if env[m] is not None:
                # at the stream's own t: its latents in less noise would be the answer
                own = own_tokens(run, m, pair.z0[m][:k], t[:k], generator)
                env[m] = shown(run, env[m], own, generator)
        l_con = con(run, pair, apart_in_time(run, pair, generator), temperature)
        total, cross = joint_loss(
            loss,
            {m: model.modalities[m].denoiser for m in pair.z0},
            {m: z[: rows[m]] for m, z in pair.z0.items()},
            t,
            eps,
            pair.cond,
            env,
            weight(pair) * l_con,
            cfg.lam,
        )
        more = further(run, pair, seen, generator)
        name = "-".join(pair.z0)
        logged = {f"cross_{m}": value for m, value in cross.items()}
        return {"loss": total + cfg.lam * more, **logged, f"con_{name}": l_con, f"more_{name}": more}

    run.fit("joint", modules, step)
