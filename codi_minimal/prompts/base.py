"""The base class of all prompt encoders."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from codi_minimal.inputs import batch_of

TOLERANCE = 1e-3  # how far values may overshoot their range: resampling and decoders ring a little


class PromptEncoder(nn.Module):
    """C_m, the encoder of modality m into the prompt space: ‖C_m(y)‖ = 1.

    Section 3.2 of the paper. A subclass gives `embed`; one that reads tensors also gives `shape` of one item
    ("any" for a size that is free), `axes`, its name in error messages, and `low`, `high`, the range of values.
    """

    shape: tuple[int | str, ...]
    axes: str
    low: float
    high: float

    def check(self, data: Tensor) -> Tensor:
        """Returns `data`, or raises a ValueError that says what is wrong with it."""
        name, shape = type(self).__name__, batch_of(self.shape)
        expected = f"{name} expected floats ({self.axes}) = {shape} in [{self.low:g}, {self.high:g}]"
        if not isinstance(data, Tensor) or not data.is_floating_point():
            raise ValueError(f"{expected}, got {getattr(data, 'dtype', type(data).__name__)}")
        fits = [want in ("any", got) for want, got in zip(self.shape, data.shape[1:], strict=False)]
        if data.ndim != 1 + len(self.shape) or not data.numel() or not all(fits):
            raise ValueError(f"{expected}, got {tuple(data.shape)}")
        lowest, highest = (bound.item() for bound in torch.aminmax(data.detach()))
        if not self.low - TOLERANCE <= lowest <= highest <= self.high + TOLERANCE:  # NaN fails this, too
            raise ValueError(f"{expected}, got {lowest:g} to {highest:g}")
        return data

    def embed(self, data) -> Tensor:
        """The embedding (b, d) before it is scaled to unit length."""
        raise NotImplementedError

    def forward(self, data) -> Tensor:
        """Encodes a batch.

        Args:
            data: a batch of this encoder's modality.

        Returns:
            (b, d), each row of unit length.

        Raises:
            ValueError: if shape, type or range of the data are not this modality's.
        """
        return F.normalize(self.embed(self.check(data)), dim=-1)
