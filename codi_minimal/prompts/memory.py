"""A memory of captions: what any prompt says, said in text, the bridge that all denoisers were trained across."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class CaptionMemory(nn.Module):
    """The projection of a prompt onto captions: C' = P / ‖P‖, P = Σ_i w_i c_i, w = softmax(c_i · C / τ).

    DeCap (Li et al. 2023), sect. 3, closes the modality gap so, without training, for a decoder of captions. CoDi needs
    it for the pairs that were never trained: the denoiser of voices reads C_text and C_audio all through its training,
    and never C_image. Where a picture lies between two digits it guesses; the nearest captions settle it.
    Nothing is lost that the prompt space was meant to hold, for text is what all of it was aligned to.

    Empty, as at first, it leaves prompts as they are.

    Args:
        d: dimension of the prompt space.
        size: how many captions it can hold.
        tau: τ, above 0; the smaller, the fewer captions join in.
    """

    def __init__(self, d: int, size: int, tau: float = 0.02):
        super().__init__()
        if size < 1 or not tau > 0:
            raise ValueError(f"expected size >= 1 and tau > 0, got {size!r} and {tau!r}")
        self.tau = tau
        self.register_buffer("captions", torch.zeros(size, d))  # rows of zeros: nothing yet

    @torch.no_grad()
    def fit(self, captions: Tensor) -> None:
        """Remember captions c (n, d), scaled to unit norm, and none of those before; every k-th if there are too many.

        Raises:
            ValueError: if the shape is another, or a caption is zero.
        """
        size, d = self.captions.shape
        if captions.ndim != 2 or captions.shape[1] != d or not captions.any(dim=1).all():
            raise ValueError(f"expected captions (n, {d}), none of them zero, got {tuple(captions.shape)}")
        n = len(captions)
        kept = captions if n <= size else captions[torch.arange(size, device=captions.device) * n // size]
        self.captions.zero_()[: len(kept)] = F.normalize(kept, dim=-1)

    def forward(self, c: Tensor) -> Tensor:
        """C' (b, d), each row of unit norm, of prompts C (b, d)."""
        captions = self.captions[self.captions.any(dim=1)]
        if not len(captions):
            return c
        w = (c @ captions.T / self.tau).softmax(dim=-1)                         # b n
        return F.normalize(w @ captions, dim=-1)                                # b d
