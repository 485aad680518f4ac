"""How faithfully autoencoders reconstruct their inputs, in each modality's usual unit."""

from collections.abc import Callable, Mapping, Sequence
from math import inf, log10
from typing import Any

import torch
from einops import reduce
from torch import Tensor

from codi_minimal.autoencoders.mel import SPREAD, LogMel
from codi_minimal.data import Scene
from codi_minimal.evaluation.readers import items_of
from codi_minimal.evaluation.statistics import Estimate, jackknife, mean, share


def exact(captions: Sequence[str], rebuilt: Sequence[str]) -> Tensor:
    """Which captions are reconstructed word for word, (b,) bool."""
    return torch.tensor([a == b for a, b in zip(captions, rebuilt, strict=True)])


def psnr(x: Tensor, y: Tensor) -> float:
    """Peak signal-to-noise ratio, -10 log10 mean (x - y)², of values in [0, 1]: dB, over the whole batch."""
    return -10 * log10(max((x - y).square().mean().item(), 1e-12))


def mel_error(x: Tensor, y: Tensor) -> float:
    """Mean absolute difference of the log-mel spectrograms of waveforms "b s", in dB of magnitude."""
    return _mel_errors(x, y).mean().item()


def fidelity(
    data: Mapping[str, Any], rebuilt: Mapping[str, Any], scene: Scene | None = None
) -> dict[str, dict[str, Estimate]]:
    """One measure of each modality that was reconstructed: modality → unit → value. The data are renders of `scene`."""
    result = {}
    for name in rebuilt:
        unit, estimate = MEASURES[name]
        result[name] = {unit: estimate(data[name], rebuilt[name], items_of([name], scene))}
    return result


def _psnr(x: Tensor, y: Tensor, items: Sequence[Tensor]) -> Estimate:
    return jackknife(lambda rows: psnr(x[rows], y[rows]), items or [len(x)], (-inf, inf))


def _mel_errors(x: Tensor, y: Tensor) -> Tensor:
    log_mel = LogMel()
    return 20 * SPREAD * reduce((log_mel(x) - log_mel(y)).abs(), "b 1 m n -> b", "mean")


MEASURES: dict[str, tuple[str, Callable[[Any, Any, Sequence[Tensor]], Estimate]]] = {
    "text": ("exact captions", lambda x, y, items: share(exact(x, y), items=items)),
    "image": ("PSNR, dB", _psnr),
    "audio": ("log-mel error, dB", lambda x, y, items: mean(_mel_errors(x, y), items)),
    "video": ("PSNR, dB", _psnr),
}
