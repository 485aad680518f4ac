"""Stage 5: a denoiser trained on, by turns alone and beside another stream, with its attention to others open. Ours.

The paper freezes all denoisers before latent alignment: what one has not learned by then it never learns, and if it is
trained further afterwards, the attention inside it no longer fits. Here it goes on with both at once. V is
frozen, and so are all other denoisers.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from codi_minimal.alignment import wire
from codi_minimal.diffusion import diffusion_loss
from codi_minimal.training.denoisers import Step, denoiser_step
from codi_minimal.training.joint import noise_like, own_tokens, shown, times_of_others, tokens, uniform
from codi_minimal.training.run import Run
from codi_minimal.training.streams import open_streams

P_GIVEN = 0.4  # how often the other stream is a prompt: finished, and its clock alone is heard


def train_beside(run: Run, name: str, alone: Callable[[Run, str, str], Step] = denoiser_step) -> None:
    """Train ε_name and its attention to the environment: every other step by `alone`, the others on L_Cross."""
    stage, cfg, model = f"beside-{name}", run.config.train, run.model
    data, denoiser, by_itself = open_streams(run, stage), model.modalities[name].denoiser, alone(run, stage, name)
    loss = partial(diffusion_loss, schedule=model.schedule, prediction=run.config.model.prediction)

    def beside(i: int, generator: torch.Generator) -> dict[str, Tensor]:
        pair = data.draw(i, generator)
        n = len(pair.cond)
        t = (run.config.model.T * uniform(n, generator).sqrt()).long().to(run.device)  # dense where t is large
        given = (uniform(n, generator) < P_GIVEN).to(run.device)
        t_env = t if cfg.wiring == "own" else torch.where(given, 0, times_of_others(t, generator))
        eps = noise_like(run, pair.z0, generator)
        with torch.no_grad():
            own = own_tokens(run, name, pair.z0[name], t, generator)  # at its own t, as in the joint stage
            others = tokens(run, {m: z for m, z in pair.z0.items() if m != name}, t_env, eps)
            env = wire({name: own} | others, cfg.wiring)[name]
        if env is not None:
            env = shown(run, env, own, generator, clock_alone=given)
        cross = loss(denoiser, pair.z0[name], t, eps[name], cond=pair.cond, env=env)
        return {"loss": cross, f"cross_{'-'.join(pair.z0)}": cross}

    def step(i: int, generator: torch.Generator) -> dict[str, Tensor]:
        return (beside if i % 2 else by_itself)(i // 2, generator)

    run.fit(stage, denoiser, step)
