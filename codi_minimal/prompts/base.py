"""The base class of all prompt encoders."""

from torch import Tensor, nn
from torch.nn import functional as F

from codi_minimal.inputs import check_tensor


class PromptEncoder(nn.Module):
    """C_m, the encoder of modality m into the prompt space: ‖C_m(y)‖ = 1.

    Section 3.2 of the paper. A subclass gives `embed`; one that reads tensors also gives the `shape` of one item (a
    letter is a size that is free) and the range of values, `low` to `high`.
    """

    shape: tuple[int | str, ...]
    low: float
    high: float

    def check(self, data: Tensor) -> Tensor:
        """Returns `data`, or raises a ValueError that says what is wrong with it."""
        check_tensor(type(self).__name__, data, ("b", *self.shape), self.low, self.high)
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
