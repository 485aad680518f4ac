"""Pretrained open_clip towers in the place of C_text and C_image, where the paper has CLIP."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from codi_minimal.prompts.base import PromptEncoder

CLIP_MEAN, CLIP_STD = (0.4815, 0.4578, 0.4082), (0.2686, 0.2613, 0.2758)  # of the data CLIP was trained on


class OpenClipTower(PromptEncoder):
    """One tower of an open_clip model.

    Args:
        model: an open_clip model.
        d: if given, a linear map to d dimensions follows. It starts at random and must be trained, or shared
            with the other tower: `image.project = text.project`.
    """

    def __init__(self, model: nn.Module, d: int | None = None):
        width = model.visual.output_dim
        super().__init__()
        self.model = model
        self.project = nn.Identity() if d is None else nn.Linear(width, d, bias=False)

    @staticmethod
    def load(source: str | Path, pretrained: str | None) -> tuple[nn.Module, str]:
        """A model and the name that open_clip has for it; see `OpenClipText.from_pretrained`."""
        name = f"local-dir:{source}" if Path(source).is_dir() else str(source)
        if ":" not in name and pretrained is None:
            raise ValueError(f"expected a folder, or a name with its `pretrained` tag, got {name!r} alone")
        import open_clip  # here, because it takes seconds

        return open_clip.create_model(name, pretrained=pretrained), name


class OpenClipText(OpenClipTower):
    """An open_clip text tower as C_text.

    Args:
        model, d: as for `OpenClipTower`.
        tokenizer: list[str] -> ids (b, l), the model's own.
    """

    def __init__(self, model: nn.Module, tokenizer: Callable[[list[str]], Tensor], d: int | None = None):
        super().__init__(model, d)
        self.tokenizer = tokenizer

    @classmethod
    def from_pretrained(cls, source: str | Path, pretrained: str | None = None, d: int | None = None) -> OpenClipText:
        """Loads a tower.

        Args:
            source: a folder with `open_clip_config.json` and weights, `hf-hub:org/name`, or an architecture
                of open_clip by its name, such as "ViT-B-32".
            pretrained: the tag of its weights, such as "laion2b_s34b_b79k"; with an architecture's name only.
            d: as for `OpenClipTower`.
        """
        model, name = cls.load(source, pretrained)
        import open_clip

        return cls(model, open_clip.get_tokenizer(name), d)

    def check(self, data: Sequence[str]) -> list[str]:
        if isinstance(data, str) or len(data) == 0 or not all(isinstance(text, str) for text in data):
            raise ValueError(f"OpenClipText expected a non-empty list of captions, got {data!r}")
        return list(data)

    def embed(self, data: list[str]) -> Tensor:
        ids = self.tokenizer(data).to(next(self.model.parameters()).device)
        return self.project(self.model.encode_text(ids))


class OpenClipImage(OpenClipTower):
    """An open_clip image tower as C_image. It resizes and normalises pictures of any size as in its training."""

    shape, low, high = (3, "h", "w"), 0.0, 1.0

    def __init__(self, model: nn.Module, d: int | None = None):
        super().__init__(model, d)
        prepared = getattr(model.visual, "preprocess_cfg", {})
        for name, default in (("mean", CLIP_MEAN), ("std", CLIP_STD)):
            value = torch.tensor(prepared.get(name, default)).reshape(3, 1, 1)
            self.register_buffer(name, value, persistent=False)

    @classmethod
    def from_pretrained(cls, source: str | Path, pretrained: str | None = None, d: int | None = None) -> OpenClipImage:
        """Loads a tower; arguments as for `OpenClipText.from_pretrained`."""
        return cls(cls.load(source, pretrained)[0], d)

    def embed(self, data: Tensor) -> Tensor:
        size = self.model.visual.image_size
        size = (size, size) if isinstance(size, int) else tuple(size)
        if data.shape[-2:] != size:
            data = F.interpolate(data, size, mode="bicubic", align_corners=False, antialias=True).clamp(0, 1)
        return self.project(self.model.encode_image((data - self.mean) / self.std))
