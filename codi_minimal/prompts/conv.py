"""The residual block that the image, audio and video prompt encoders are stacked from."""

from torch import Tensor, nn
from torch.nn import functional as F


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions beside a shortcut, pre-activation: y = W x + conv(σ(n(conv(σ(n(x)))))).

    He et al. 2016 (arXiv 1603.05027), with GroupNorm for BatchNorm: what an encoder says of one item must not
    depend on the others in its batch.

    Args:
        c_in, c_out: channels, multiples of 8.
        stride: of the first convolution, an int or (height, width).
    """

    def __init__(self, c_in: int, c_out: int, stride: int | tuple[int, int] = 1):
        super().__init__()
        self.norm1 = nn.GroupNorm(8, c_in)
        self.conv1 = nn.Conv2d(c_in, c_out, 3, stride, padding=1)
        self.norm2 = nn.GroupNorm(8, c_out)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, padding=1)
        same = c_in == c_out and stride in (1, (1, 1))
        self.pool = nn.Identity() if same else nn.AvgPool2d(stride)
        self.shortcut = nn.Identity() if same else nn.Conv2d(c_in, c_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(F.silu(self.norm2(h)))
        return self.shortcut(self.pool(x)) + h
