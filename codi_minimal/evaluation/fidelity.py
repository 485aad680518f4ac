"""How faithfully the autoencoders give back what they were given, in each modality's usual unit."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from codi_minimal.autoencoders.mel import SPREAD, LogMel


def exact(captions: Sequence[str], rebuilt: Sequence[str]) -> float:
    """Share of captions given back word for word."""
    return sum(a == b for a, b in zip(captions, rebuilt, strict=True)) / len(captions)


def psnr(x: Tensor, y: Tensor) -> float:
    """Peak signal-to-noise ratio, -10 log10 mean (x - y)², of values in [0, 1]: dB, over the whole batch."""
    return float(-10 * (x - y).square().mean().clamp_min(1e-12).log10())


def mel_error(x: Tensor, y: Tensor) -> float:
    """Mean absolute difference of the log-mel spectrograms of waveforms "b s", in dB of magnitude."""
    log_mel = LogMel()
    return float(20 * SPREAD * (log_mel(x) - log_mel(y)).abs().mean())


MEASURES: dict[str, dict[str, Callable[[Any, Any], float]]] = {
    "text": {"exact captions": exact},
    "image": {"PSNR, dB": psnr},
    "audio": {"log-mel error, dB": mel_error},
    "video": {"PSNR, dB": psnr},
}


def fidelity(data: Mapping[str, Any], rebuilt: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """All measures of what was rebuilt: modality → measure → value."""
    return {
        name: {what: measure(data[name], rebuilt[name]) for what, measure in MEASURES[name].items()}
        for name in rebuilt
    }
