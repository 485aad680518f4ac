"""Ours, stage 5: a denoiser is trained on, by turns alone and beside another stream, with its environment attention.

The paper freezes all denoisers before latent alignment. What a denoiser has not learned by then it never learns, and if
it were trained on alone afterwards, the attention inside it would no longer fit. Here both are trained on at once. V
and all other denoisers are frozen.
"""

from functools import partial

import torch
from torch import Tensor

from codi_minimal.alignment import wire
from codi_minimal.diffusion import diffusion_loss
from codi_minimal.training.denoisers import denoiser_step
from codi_minimal.training.joint import draw_noise, draw_times, environments, perturbed, renoised, times_of_others
from codi_minimal.training.ranks import mean_of_all
from codi_minimal.training.run import Run
from codi_minimal.training.streams import open_streams

P_AS_PROMPT = 0.4  # share of the rows in which the other stream is a prompt: at t = 0, with clock tokens alone


def train_beside(run: Run, name: str) -> None:
    """Ours: trains ε_name and its attention to the environment, by turns on L_D alone and on L_Cross."""
    stage, cfg, denoiser = f"beside-{name}", run.config.train, run.model.modalities[name].denoiser
    draw, alone = open_streams(run, stage), denoiser_step(run, stage, name)
    loss = partial(diffusion_loss, schedule=run.model.schedule, prediction=run.config.model.prediction)
    net = run.graphed(denoiser)

    def beside(i: int, generator: torch.Generator) -> dict[str, Tensor]:
        pair = draw(i, generator)
        n, z0 = len(pair.cond), pair.z0[name]
        t = draw_times(run, n, 0.5, generator)  # mostly noisy, as in the joint stage
        as_prompt = (torch.rand(n, generator=generator) < P_AS_PROMPT).to(run.device)
        t_env = t if cfg.wiring == "own" else torch.where(as_prompt, 0, times_of_others(t, generator, cfg.p_ahead))
        eps = draw_noise(run, pair.z0, generator)
        with torch.no_grad():
            own = renoised(run, name, z0, t, generator)
            others = environments(run, {m: z for m, z in pair.z0.items() if m != name}, t_env, eps)
            env = wire({name: own} | others, cfg.wiring)[name]
        if env is not None:
            env = perturbed(run, env, own, generator, clock_alone=as_prompt)
        cross = mean_of_all(loss(net, z0, t, eps[name], cond=pair.cond, env=env), run.stage(stage).batch)
        return {"loss": cross, f"cross_{'-'.join(pair.z0)}": cross}

    run.fit(stage, denoiser, lambda i, generator: (beside if i % 2 else alone)(i // 2, generator), in_turn=True)
