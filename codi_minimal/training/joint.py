"""Stage 4, latent alignment: V and the cross-attention to it, on L_Cross + λ L_Con, all else frozen (CoDi sect. 3.4).

The paper trains pair after pair, and freezes what is aligned already. Here the pairs take turns, step by step, so that
none is forgotten and no order is special. Either way a step sees two modalities, and the number of pairs grows linearly
with the number of modalities.

Ours: V is trained first without denoisers, whose steps cost five times as much. A recipe may add losses (L_Read).
L_Con compares the streams at times of their own, and weighs little beside text. The other stream may be at another t,
and its environment has noise and gaps (`times_of_others`, `perturbed`). Clips are a share of the batch.
"""

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from codi_minimal.alignment import contrastive_loss, environment_modules, gather, joint_loss, wire
from codi_minimal.alignment.environment import Environment, has_clock
from codi_minimal.diffusion import diffusion_loss, q_sample
from codi_minimal.prompts import Temperature
from codi_minimal.training.ranks import mean_of_all, rows_of_all
from codi_minimal.training.run import Run, randn
from codi_minimal.training.streams import Pair, open_streams

CON_BESIDE_TEXT = 0.1  # weight of L_Con where one of the pair is text: at 1 V_text never learns the motion
P_CLOCK = 0.25  # share of the rows with clock tokens alone, as prompts have, whose meaning is in C


def draw_times(run: Run, n: int, power: float, generator: torch.Generator) -> Tensor:
    """n times t = T u^power (n,): a power below 1 makes noisy times more frequent, one above 1 nearly clean ones."""
    return (run.config.model.T * torch.rand(n, generator=generator) ** power).long().to(run.device)


def draw_noise(run: Run, z0: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    """ε of both streams."""
    return {m: run.model.modalities[m].noise(len(z), generator).to(run.device) for m, z in z0.items()}


def environments(run: Run, z0: dict[str, Tensor], t: Tensor, eps: dict[str, Tensor]) -> dict[str, Tensor]:
    """V_m(z_t) of both streams of a pair."""
    schedule, modalities = run.model.schedule, run.model.modalities
    return {m: modalities[m].environment(q_sample(schedule, z, t, eps[m]), t) for m, z in z0.items()}


def renoised(run: Run, name: str, z0: Tensor, t: Tensor, generator: torch.Generator) -> Tensor:
    """V_m of one stream's latents in new noise."""
    return environments(run, {name: z0}, t, draw_noise(run, {name: z0}, generator))[name]


def apart_in_time(run: Run, pair: Pair, generator: torch.Generator) -> dict[str, Tensor]:
    """Ours: V_m of both streams, each at times of its own, which are nearly clean more often than noisy.

    At equal times L_Con could match the pairs by their noise levels alone, and at noisy times it would compare noise.
    """
    return {m: renoised(run, m, z, draw_times(run, len(z), 1.5, generator), generator) for m, z in pair.z0.items()}


def compared(run: Run, pair: Pair, tokens: dict[str, Tensor]) -> tuple[dict[str, Tensor], float]:
    """Ours: the tokens for L_Con, without the summary where the prompts of all samples are alike; and its weight."""
    first = run.config.model.summary if pair.alike else 0
    weight = run.config.train.con * (1.0 if pair.positives is None else CON_BESIDE_TEXT)
    return {m: v[:, first:] for m, v in tokens.items()}, weight


def of_additions(run: Run, pair: Pair, tokens: dict[str, Tensor], generator: torch.Generator) -> Tensor:
    """The sum of the losses that the recipe's additions make of a pair's tokens; 0 without any."""
    losses = (a.loss(run.model, tokens, pair.prompts, pair.cond, generator) for a in run.model.recipe.additions)
    return sum((loss for loss in losses if loss is not None), pair.cond.new_zeros(()))


def times_of_others(t: Tensor, generator: torch.Generator, p_ahead: float) -> Tensor:
    """Ours: the times of the other stream (b,): t itself with a probability of 1 − p_ahead, or ahead of it.

    Ahead is 0 in .3 of the rows, as for a prompt, and ⌊u t⌋ in the others, with u uniform in [.3, 1).
    """
    share, u = (torch.rand(len(t), generator=generator) for _ in range(2))
    u = torch.where(u < 0.3, 0, u)
    return torch.where((share < p_ahead).to(t.device), (t * u.to(t.device)).long(), t)


def perturbed(
    run: Run, env: Environment, own: Tensor, generator: torch.Generator, clock_alone: Tensor | None = None
) -> Environment:
    """Ours: the environment that a stream sees in training, with noise and with gaps, for as many rows as `own` has.

    A share p_own of the rows holds tokens of the stream itself in other noise instead. In a share P_CLOCK only the
    clock tokens are present, as in a prompt. In a share p_null, none of which are p_own, nothing is present.

    Args:
        env: tokens of the other stream. own: the stream's own, (b, n, d_env).
        clock_alone: rows (b,) bool with clock tokens alone; None: each with a probability of P_CLOCK.
    """
    cfg, (tokens, present) = run.config.train, (x[: len(own)] for x in env)
    u, v = (torch.rand(len(own), 1, generator=generator).to(own.device) for _ in range(2))
    clock_alone = v < P_CLOCK if clock_alone is None else clock_alone[:, None]
    if cfg.wiring != "own":
        of_own, mine = gather([own], cfg.wiring), u < cfg.p_own
        n = max(tokens.shape[1], of_own.tokens.shape[1])
        a, b = (F.pad(x, (0, 0, 0, n - x.shape[1])) for x in (of_own.tokens, tokens))
        tokens = torch.where(mine[..., None], a, b)
        present = torch.where(mine, *(F.pad(x, (0, n - x.shape[1])) for x in (of_own.present, present)))
    present = present & (u < 1 - cfg.p_null) & (has_clock(tokens) | ~clock_alone)
    return Environment(tokens, present).noisy(cfg.env_noise * randn(tuple(tokens.shape), generator, run.device))


def train_environment(run: Run, stage: str = "environment", names: Sequence[str] | None = None) -> None:
    """Ours: trains V_m, and the attention of conditions to them, on L_Con and on the losses of additions.

    `names`: the modalities whose modules are trained; None: all.
    """
    draw, modules = open_streams(run, stage), nn.ModuleDict()
    modules["temperature"] = temperature = Temperature().to(run.device)
    for name in run.model.modalities if names is None else names:
        m = run.model.modalities[name]
        modules[f"environment-{name}"] = m.environment
        modules[f"reader-{name}"] = m.denoiser.environment_attention
    batch = run.stage(stage).batch

    def step(i: int, generator: torch.Generator) -> dict[str, Tensor]:
        pair = draw(i, generator)
        tokens, name = apart_in_time(run, pair, generator), "-".join(pair.z0)
        more, (of_con, weight) = of_additions(run, pair, tokens, generator), compared(run, pair, tokens)
        more = mean_of_all(more, batch)
        l_con = contrastive_loss(*(rows_of_all(v, batch) for v in of_con.values()), temperature(), pair.positives)
        return {"loss": more + weight * l_con, f"more_{name}": more, f"con_{name}": l_con}

    run.fit(stage, modules, step, in_turn=True)


def train_joint(run: Run, stage: str = "joint", names: Sequence[str] | None = None) -> None:
    """Trains V_m and all environment attention on the pairings of the stage in turn.

    `names`: the modalities whose modules are trained; None: all.
    """
    cfg, modalities = run.config.train, run.model.modalities
    draw, modules = open_streams(run, stage), nn.ModuleDict()
    modules["temperature"] = temperature = Temperature().to(run.device)
    for name in modalities if names is None else names:
        modules[f"environment-{name}"] = modalities[name].environment
        modules[f"attention-{name}"] = nn.ModuleList(environment_modules(modalities[name].denoiser))
    mean = partial(diffusion_loss, schedule=run.model.schedule, prediction=run.config.model.prediction)
    batch, nets = run.stage(stage).batch, {m: run.graphed(modality.denoiser) for m, modality in modalities.items()}

    def loss(*args, **kwargs) -> Tensor:
        return mean_of_all(mean(*args, **kwargs), batch)

    def step(i: int, generator: torch.Generator) -> dict[str, Tensor]:
        pair = draw(i, generator)
        n, name = len(pair.cond), "-".join(pair.z0)
        t = draw_times(run, n, 0.5, generator)  # mostly noisy: a stream that is nearly clean needs no other
        eps = draw_noise(run, pair.z0, generator)
        t_env = t if cfg.wiring == "own" else times_of_others(t, generator, cfg.p_ahead)
        tokens, few = environments(run, pair.z0, t_env, eps), max(1, int(n * cfg.clip_share))
        env = wire(tokens, cfg.wiring)
        z0 = {m: z[:few] if modalities[m].costly else z for m, z in pair.z0.items()}
        for m, z in z0.items():
            if env[m] is not None:
                with torch.no_grad():  # at the stream's own t: with less noise, `own` would give away its z_0
                    own = renoised(run, m, z, t[: len(z)], generator)
                env[m] = perturbed(run, env[m], own, generator)
        of_con, weight = compared(run, pair, apart_in_time(run, pair, generator))
        of_con = {m: rows_of_all(v, batch) for m, v in of_con.items()}
        how = {"lam": cfg.lam * weight, "positives": pair.positives, "env": env, "compared": of_con}
        total, cross, l_con = joint_loss(loss, nets, z0, t, eps, pair.cond, tokens, temperature(), **how)
        more = mean_of_all(of_additions(run, pair, tokens, generator), batch)
        logged = {f"cross_{m}": value for m, value in cross.items()}
        return {"loss": total + cfg.lam * more, **logged, f"con_{name}": l_con, f"more_{name}": more}

    run.fit(stage, modules, step, in_turn=True)
