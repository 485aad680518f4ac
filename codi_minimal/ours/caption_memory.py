"""Ours: the memory of captions, which replaces a prompt by a mixture of the captions nearest to it.

Source: DeCap (Li et al. 2023), sect. 3, which closes the modality gap so for a decoder of captions, without training.
Buys: digit of images from images .850 → .987 in `SHIPPED` (n = 300, `python -m codi_minimal experiment additions`).
With all captions of this closed world in it, it is a nearest-caption classifier.
Without it: remove this file and its line in `recipes.py`; prompts are then used as their encoders give them.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from codi_minimal.config import Size, Tau, checked
from codi_minimal.recipe import Addition


@checked
class CaptionMemory(Addition):
    """C' = P / ‖P‖ with P = Σ_i w_i c_i and w = softmax(c_i · C / τ), over captions c_i.

    Some pairs of prompt and output were never trained: the denoiser of voices reads C_text and C_audio all through its
    training, and never C_image. Where the embedding of a picture lies between two digits, the nearest captions decide.
    An empty memory leaves prompts as they are.

    Args:
        tau: τ, above 0; the smaller, the fewer captions take part.
        size: how many captions it can hold. The grammar of Talking Digits has 692 meanings.
    """

    tau: Tau = 0.02
    size: Size = 700

    def attach(self, model: Any) -> None:
        if self.name not in model.additions:  # else it keeps its captions
            model.additions[self.name] = Captions(model.config.model.d, self.size).to(model.device)

    @torch.no_grad()
    def after_bridging(
        self, model: Any, name: str, own: Tensor, text: Tensor, paraphrases: list[list[str]] | None
    ) -> None:
        if paraphrases is None:
            return
        c_text = model.modalities["text"].prompt  # of each meaning the mean over all ways to say it
        model.additions[self.name].fit(torch.stack([c_text(same).mean(dim=0) for same in paraphrases]))

    def prompt(self, model: Any, c: Tensor) -> Tensor:
        if self.name not in model.additions:
            raise ValueError("expected a checkpoint with a memory of captions, or a recipe without it")
        return model.additions[self.name].project(c, self.tau)


class Captions(nn.Module):
    """Embeddings of captions: `captions` (size, d), of which rows of zeros are empty."""

    def __init__(self, d: int, size: int):
        super().__init__()
        self.register_buffer("captions", torch.zeros(size, d))

    @torch.no_grad()
    def fit(self, captions: Tensor) -> None:
        """Store captions c (n, d), scaled to unit norm, in place of those before; every k-th if there are too many.

        Raises:
            ValueError: on another shape, or a caption of zeros.
        """
        size, d = self.captions.shape
        if captions.ndim != 2 or captions.shape[1] != d or not captions.any(dim=1).all():
            raise ValueError(f"expected captions (n, {d}), none of them zero, got {tuple(captions.shape)}")
        n = len(captions)
        kept = captions if n <= size else captions[torch.arange(size, device=captions.device) * n // size]
        self.captions.zero_()[: len(kept)] = F.normalize(kept, dim=-1)

    def project(self, c: Tensor, tau: float) -> Tensor:
        """C' (b, d), each row of unit norm, of prompts C (b, d)."""
        captions = self.captions[self.captions.any(dim=1)]
        if not len(captions):
            return c
        w = (c @ captions.T / tau).softmax(dim=-1)                              # b n
        return F.normalize(w @ captions, dim=-1)                                # b d
