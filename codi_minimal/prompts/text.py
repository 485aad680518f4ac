"""C_text: captions into the prompt space. Every other modality is aligned to this one."""

from collections.abc import Sequence

import torch
from einops import einsum
from torch import Tensor, nn

from codi_minimal.tokenizer import EOS, PAD, WordTokenizer

from .base import PromptEncoder


class TextPromptEncoder(PromptEncoder):
    """C_text: a small pre-LN transformer, averaged over the words: C = W · mean_{words} h.

    Section 3.2 of the paper (there CLIP's text tower; `openclip.py` puts one in this place).

    Args:
        tokenizer: captions to ids; its vocabulary is what the encoder knows, any other word is UNK.
        d: dimension of the prompt space.
        width, layers, heads: of the transformer.

    >>> TextPromptEncoder(WordTokenizer(["a", "red", "seven"]), d=16)(["a red seven", "seven"]).shape
    torch.Size([2, 16])
    """

    def __init__(
        self, tokenizer: WordTokenizer, d: int = 128, width: int = 128, layers: int = 2, heads: int = 4
    ):
        super().__init__(d)
        self.tokenizer = tokenizer
        self.token = nn.Embedding(len(tokenizer), width)
        self.position = nn.Parameter(0.02 * torch.randn(tokenizer.length, width))
        layer = nn.TransformerEncoderLayer(
            width, heads, 4 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.transformer = nn.TransformerEncoder(
            layer, layers, norm=nn.LayerNorm(width), enable_nested_tensor=False
        )
        self.project = nn.Linear(width, d)

    def check(self, data: Sequence[str] | Tensor) -> Tensor:
        """Captions, or their ids, as ids (b, l) on the encoder's device."""
        ids = data if isinstance(data, Tensor) else self.tokenizer.encode(data)
        if ids.dtype != torch.long or ids.ndim != 2 or 0 in ids.shape or ids.shape[1] > self.tokenizer.length:
            raise ValueError(
                f"TextPromptEncoder expected ids (b, l <= {self.tokenizer.length}) of type torch.int64, "
                f"got {tuple(ids.shape)} of type {ids.dtype}"
            )
        if ids.min() < 0 or ids.max() >= self.token.num_embeddings:
            raise ValueError(
                f"TextPromptEncoder expected ids 0 to {self.token.num_embeddings - 1}, "
                f"got {ids.min().item()} to {ids.max().item()}"
            )
        if not (ids > EOS).any(dim=1).all():
            raise ValueError("TextPromptEncoder expected at least one word in every caption, got one without")
        return ids.to(self.position.device)

    def embed(self, data: Tensor) -> Tensor:
        h = self.token(data) + self.position[: data.shape[1]]
        h = self.transformer(h, src_key_padding_mask=data == PAD)
        word = (data > EOS).to(h.dtype)
        return self.project(einsum(h, word / word.sum(dim=1, keepdim=True), "b l c, b l -> b c"))
