"""Denoisers ε_m: one U-Net for images, audio and text, and its temporal extension for video."""

from codi_minimal.denoisers.unet import UNet
from codi_minimal.denoisers.video import VideoUNet, latent_shift

__all__ = ["UNet", "VideoUNet", "latent_shift"]
