"""C_text: captions into the prompt space. Every other modality is aligned to this one."""

from collections.abc import Sequence

import torch
from einops import einsum
from torch import Tensor, nn

from codi_minimal.layers import transformer
from codi_minimal.prompts.base import PromptEncoder
from codi_minimal.tokenizer import EOS, PAD, WordTokenizer


class TextPromptEncoder(PromptEncoder):
    """C_text: a small pre-LN transformer, averaged over the words: C = W · mean_{words} h.

    Section 3.2 of the paper (there CLIP's text tower; `openclip.py` can take this place).

    Args:
        tokenizer: captions to ids; a word outside its vocabulary is UNK.
        d: dimension of the prompt space.
        width, layers, heads: of the transformer.

    >>> TextPromptEncoder(WordTokenizer(["a", "red", "seven"]), d=16)(["a red seven", "seven"]).shape
    torch.Size([2, 16])
    """

    def __init__(self, tokenizer: WordTokenizer, d: int = 128, width: int = 128, layers: int = 2, heads: int = 4):
        super().__init__()
        self.tokenizer = tokenizer
        self.token = nn.Embedding(len(tokenizer), width)
        self.position = nn.Parameter(0.02 * torch.randn(tokenizer.length, width))
        self.transformer = transformer(width, layers, heads, 4 * width)
        self.project = nn.Linear(width, d)

    def check(self, data: Sequence[str]) -> Tensor:
        """Ids (b, l) of captions, on the encoder's device; errors as of `WordTokenizer.encode`."""
        return self.tokenizer.encode(data).to(self.position.device)

    def embed(self, data: Tensor) -> Tensor:
        h = self.token(data) + self.position[: data.shape[1]]  # b l c
        h = self.transformer(h, src_key_padding_mask=data == PAD)
        word = (data > EOS).to(h.dtype)  # b l
        return self.project(einsum(h, word / word.sum(dim=1, keepdim=True), "b l c, b l -> b c"))
