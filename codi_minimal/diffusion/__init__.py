"""Diffusion, for any network net(z_t, t, cond, env) that returns the shape of z_t. It depends on no modality."""

from codi_minimal.diffusion.guidance import classifier_free_guidance, guided
from codi_minimal.diffusion.loss import diffusion_loss, target
from codi_minimal.diffusion.one_stream import SAMPLERS, make_sampler, sample
from codi_minimal.diffusion.process import q_sample, to_z0, velocity
from codi_minimal.diffusion.restart import Restart
from codi_minimal.diffusion.samplers import DDIM, DDPM, DPMSolverPP, Sampler
from codi_minimal.diffusion.schedule import Schedule, cosine, linear, posterior_coefficients, scaled_linear
from codi_minimal.diffusion.timesteps import shifted_timesteps, trailing_timesteps

__all__ = [
    "DDIM", "DDPM", "SAMPLERS", "DPMSolverPP", "Restart", "Sampler", "Schedule", "classifier_free_guidance", "cosine",
    "diffusion_loss", "guided", "linear", "make_sampler", "posterior_coefficients", "q_sample", "sample",
    "scaled_linear", "shifted_timesteps", "target", "to_z0", "trailing_timesteps", "velocity",
]  # fmt: skip
