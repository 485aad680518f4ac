"""Latent alignment: environment encoders, the cross-attention to them, and the joint loss (CoDi sect. 3.4)."""

from codi_minimal.alignment.cross_attention import EnvironmentAttention, add_environment, environment_modules
from codi_minimal.alignment.environment import Environment, EnvironmentEncoder, has_clock
from codi_minimal.alignment.joint import contrastive_loss, joint_loss
from codi_minimal.alignment.wiring import WIRINGS, Wiring, check_wiring, gather, wire

__all__ = [
    "WIRINGS", "Environment", "EnvironmentAttention", "EnvironmentEncoder", "Wiring", "add_environment", "check_wiring",
    "contrastive_loss", "environment_modules", "gather", "has_clock", "joint_loss", "wire",
]  # fmt: skip
