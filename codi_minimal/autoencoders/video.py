"""Video frame by frame with the image VAE, as in CoDi (sect. 3.3): time is the denoiser's business."""

from einops import rearrange
from torch import Tensor, nn

from codi_minimal.autoencoders.image import ImageVAE
from codi_minimal.inputs import batch_of


class VideoAutoencoder(nn.Module):
    """(b, f, 3, h, w) ↔ z (b, f, c, h', w'): the image VAE applied to every frame; it has no weights of its own.

    Args:
        image: the trained image VAE, shared.
        frames: f, the number of frames.
    """

    def __init__(self, image: ImageVAE, frames: int = 8):
        super().__init__()
        self._shared = (image,)  # in a tuple, so that the weights belong to the image modality alone
        self.frames = frames
        self.latent_shape = (frames, *image.latent_shape)

    @property
    def image(self) -> ImageVAE:
        """The image VAE that the frames go through."""
        return self._shared[0]

    def encode(self, x: Tensor) -> Tensor:
        """z_0 "b f c h w" of clips x "b f 3 h w" in [0, 1]; see `Autoencoder.encode`."""
        if x.ndim != 5 or x.shape[1] != self.frames:
            raise ValueError(f"expected videos (b, {self.frames}, 3, h, w), got {tuple(x.shape)}")
        z = self.image.encode(rearrange(x, "b f c h w -> (b f) c h w"))
        return rearrange(z, "(b f) c h w -> b f c h w", f=self.frames)

    def decode(self, z: Tensor) -> Tensor:
        """Clips "b f 3 h w" in [0, 1] of latents "b f c h w"."""
        if tuple(z.shape[1:]) != self.latent_shape:
            raise ValueError(f"expected latents of shape {batch_of(self.latent_shape)}, got {tuple(z.shape)}")
        x = self.image.decode(rearrange(z, "b f c h w -> (b f) c h w"))
        return rearrange(x, "(b f) c h w -> b f c h w", f=self.frames)
