"""What every prompt encoder promises: data of one modality in, points of the shared prompt space out."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

TOLERANCE = 1e-3  # how far values may overshoot their range: resampling and decoders ring a little


class PromptEncoder(nn.Module):
    """C_m, the encoder of modality m into the prompt space: ‖C_m(y)‖ = 1.

    Section 3.2 of the paper. A subclass gives `embed`; one that reads tensors also gives `shape` of one item
    (None where any size will do), `axes`, its name in error messages, and `low`, `high`, the range of values.
    """

    shape: tuple[int | None, ...]
    axes: str
    low: float
    high: float

    def __init__(self, d: int):
        super().__init__()
        self.register_buffer("shift", torch.zeros(d))

    @torch.no_grad()
    def fit_shift(self, own: Tensor, other: Tensor) -> None:
        """Set `shift` so that embeddings `own` (b, d), encoded with the present one, lie around the centre of `other`.

        Contrastive training leaves each modality in a cone of its own (Liang et al. 2022), and a denoiser that has
        learned from prompts of one reads another's across this gap. What differs between the centres says nothing
        of a sample, so it can go.
        """
        self.shift += other.mean(dim=0) - own.mean(dim=0)

    def check(self, data: Tensor) -> Tensor:
        """Returns `data` as it came, or raises ValueError that says what is wrong with it."""
        name = type(self).__name__
        if not isinstance(data, Tensor) or not data.is_floating_point():
            got = data.dtype if isinstance(data, Tensor) else type(data).__name__
            raise ValueError(f"{name} expected a float tensor ({self.axes}), got {got}")
        sizes = (None, *self.shape)
        fits = data.ndim == len(sizes) and data.numel() > 0
        if not fits or any(want not in (None, got) for want, got in zip(sizes, data.shape, strict=True)):
            want = ", ".join("any" if size is None else str(size) for size in self.shape)
            raise ValueError(f"{name} expected ({self.axes}) = (b, {want}), got {tuple(data.shape)}")
        lowest, highest = (bound.item() for bound in torch.aminmax(data.detach()))
        if not self.low - TOLERANCE <= lowest <= highest <= self.high + TOLERANCE:  # NaN fails this, too
            raise ValueError(
                f"{name} expected values in [{self.low:g}, {self.high:g}], got {lowest:g} to {highest:g}"
            )
        return data

    def embed(self, data) -> Tensor:
        """The embedding (b, d) before it is scaled to unit length and shifted."""
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
        return F.normalize(F.normalize(self.embed(self.check(data)), dim=-1) + self.shift, dim=-1)
