"""Pretrained open_clip towers in the place of C_text and C_image, as the paper has CLIP there."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .base import PromptEncoder

CLIP_MEAN, CLIP_STD = (0.4815, 0.4578, 0.4082), (0.2686, 0.2613, 0.2758)  # of the data CLIP was trained on


def _open_clip():
    try:
        import open_clip
    except ImportError as error:
        raise ImportError("the open_clip adapter needs open_clip: pip install open_clip_torch") from error
    return open_clip


def _load(source: str | Path, pretrained: str | None) -> tuple[nn.Module, str]:
    """A model and the name that open_clip knows it by."""
    name = f"local-dir:{source}" if Path(source).is_dir() else str(source)
    if ":" not in name and pretrained is None:
        raise ValueError(f"expected a folder, or a name with its `pretrained` tag, got {name!r} alone")
    return _open_clip().create_model(name, pretrained=pretrained), name


def _projection(model: nn.Module, d: int | None) -> nn.Module:
    """Identity, or a linear map from the model's space to d dimensions. Give both towers the same one."""
    return nn.Identity() if d is None else nn.Linear(model.visual.output_dim, d, bias=False)


class OpenClipText(PromptEncoder):
    """An open_clip text tower as C_text.

    Args:
        model: an open_clip model.
        tokenizer: list[str] -> ids (b, l), the model's own.
        d: if given, a linear map to d dimensions follows. It starts at random and must be trained, or shared
            with the image tower's: `image.project = text.project`.
    """

    def __init__(self, model: nn.Module, tokenizer: Callable[[list[str]], Tensor], d: int | None = None):
        super().__init__(d or model.visual.output_dim)
        self.model, self.tokenizer = model, tokenizer
        self.project = _projection(model, d)

    @classmethod
    def from_pretrained(
        cls, source: str | Path, pretrained: str | None = None, d: int | None = None
    ) -> "OpenClipText":
        """Loads a tower.

        Args:
            source: a folder with `open_clip_config.json` and weights, `hf-hub:org/name`, or an architecture
                that open_clip knows by name, such as "ViT-B-32".
            pretrained: the tag of its weights, such as "laion2b_s34b_b79k"; with an architecture's name only.
        """
        model, name = _load(source, pretrained)
        return cls(model, _open_clip().get_tokenizer(name), d)

    def check(self, data: Sequence[str]) -> list[str]:
        if isinstance(data, str) or len(data) == 0 or not all(isinstance(text, str) for text in data):
            raise ValueError(f"OpenClipText expected a non-empty list of captions, got {data!r}")
        return list(data)

    def embed(self, data: list[str]) -> Tensor:
        ids = self.tokenizer(data).to(next(self.model.parameters()).device)
        return self.project(self.model.encode_text(ids))


class OpenClipImage(PromptEncoder):
    """An open_clip image tower as C_image: pictures of any size are resized and normalised as it was trained.

    Args:
        model: an open_clip model.
        d: as for `OpenClipText`.
    """

    shape, axes, low, high = (3, None, None), "b c h w", 0.0, 1.0

    def __init__(self, model: nn.Module, d: int | None = None):
        super().__init__(d or model.visual.output_dim)
        self.model = model
        self.project = _projection(model, d)
        prepared = getattr(model.visual, "preprocess_cfg", {})
        for name, default in (("mean", CLIP_MEAN), ("std", CLIP_STD)):
            value = torch.tensor(prepared.get(name, default)).reshape(3, 1, 1)
            self.register_buffer(name, value, persistent=False)

    @classmethod
    def from_pretrained(
        cls, source: str | Path, pretrained: str | None = None, d: int | None = None
    ) -> "OpenClipImage":
        """Loads a tower; arguments as for `OpenClipText.from_pretrained`."""
        return cls(_load(source, pretrained)[0], d)

    def embed(self, data: Tensor) -> Tensor:
        size = self.model.visual.image_size
        size = (size, size) if isinstance(size, int) else tuple(size)
        if data.shape[-2:] != size:
            data = F.interpolate(data, size, mode="bicubic", align_corners=False, antialias=True).clamp(0, 1)
        return self.project(self.model.encode_image((data - self.mean) / self.std))
