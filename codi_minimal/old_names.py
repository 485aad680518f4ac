"""Tensor names that earlier versions wrote into checkpoints, and the present ones."""

import re
from collections.abc import Mapping

from torch import Tensor

NAMES = {  # pattern of an old name: what takes its place; "": it is computed now, and no longer stored
    r".*\.mel\.(mel_scale\.fb|spectrogram\.window)$": "",
    r"\.shortcut\.": ".skip.",
    r"^memory\.captions$": "additions.caption_memory.captions",
    r"^modalities\.(\w+)\.prompt\.shift$": r"additions.centring.\1.shift",
}


def renamed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of a checkpoint of any age under their present names.

    >>> import torch
    >>> sorted(renamed({"trunk.1.shortcut.bias": torch.zeros(1), "prompt.mel.spectrogram.window": torch.zeros(256)}))
    ['trunk.1.skip.bias']
    """
    kept = {}
    for name, tensor in tensors.items():
        for old, new in NAMES.items():
            name = re.sub(old, new, name)
        if name:
            kept[name] = tensor
    return kept
