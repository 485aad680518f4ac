"""Words to ids and back, for a given vocabulary."""

import re
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import takewhile
from reprlib import repr as short

import torch
from torch import Tensor

from codi_minimal.inputs import PromptWarning

PAD, BOS, EOS, UNK = range(4)
_SPECIAL = ("<pad>", "<bos>", "<eos>", "<unk>")
_WORD = re.compile(r"[^\W_]+")


def spell_articles(text: str) -> str:
    """Replaces each "a" or "an" by the one that English spelling requires before the next word.

    >>> spell_articles("an red one and a eight")
    'a red one and an eight'
    """
    return re.sub(r"\ban? (?=(\w+))", lambda m: "an " if m[1][0] in "aeiou" and m[1] != "one" else "a ", text)


class WordTokenizer:
    """One id a word: ``BOS words EOS PAD …``, always ``max_words + 2`` long.

    Args:
        vocabulary: distinct words, each one as `encode` reads it; word i has id 4 + i, after PAD, BOS, EOS and UNK.
        max_words: longest text, in words.
        spell: text → text, applied to every text that `decode` returns.

    >>> tokenizer = WordTokenizer(["a", "red", "seven"])
    >>> tokenizer.encode(["A red seven!"])[0, :6].tolist()
    [1, 4, 5, 6, 2, 0]
    >>> tokenizer.decode(tokenizer.encode(["A red seven!"]))
    ['a red seven']
    """

    def __init__(self, vocabulary: Sequence[str], max_words: int = 12, spell: Callable[[str], str] = str) -> None:
        words = vocabulary if isinstance(vocabulary, (list, tuple)) else []
        wrong = [word for word in words if not isinstance(word, str) or _WORD.findall(word.lower()) != [word]]
        wrong = wrong or [word for word, times in Counter(words).items() if times > 1]
        if not words or wrong:
            raise ValueError(f"expected a vocabulary of distinct words in lower case, got {short(wrong or vocabulary)}")
        self.max_words, self.length, self.spell = max_words, max_words + 2, spell
        self.words = (*_SPECIAL, *vocabulary)
        self._id = {word: i for i, word in enumerate(self.words) if i > UNK}

    def __len__(self) -> int:
        return len(self.words)

    def encode(self, texts: Sequence[str]) -> Tensor:
        """Ids "b l" of texts, lower-cased and without punctuation; an unknown word among known ones is UNK.

        A `PromptWarning` names the unknown words.
        ValueError: there is no text, or one is not a string, is empty, is too long, or has no known word.
        """
        if isinstance(texts, str) or len(texts) == 0:
            raise ValueError(f"expected a non-empty list of texts, got {texts!r}")
        rows = [[BOS, *self._ids(text), EOS] for text in texts]
        if unknown := [word for text in texts for word in _WORD.findall(text.lower()) if word not in self._id]:
            warnings.warn(PromptWarning(f"text: ignored {', '.join(map(repr, dict.fromkeys(unknown)))}"), stacklevel=2)
        return torch.tensor([row + [PAD] * (self.length - len(row)) for row in rows])

    def decode(self, ids: Tensor) -> list[str]:
        """Texts of ids "b l": reading stops at the first EOS or PAD, BOS is skipped, UNK reads ``<unk>``."""
        if ids.ndim != 2 or ids.is_floating_point():
            raise ValueError(f"expected integer ids 'b l', got {ids.dtype} of shape {tuple(ids.shape)}")
        if ids.numel() and not 0 <= int(ids.min()) <= int(ids.max()) < len(self):
            raise ValueError(f"expected ids in 0 … {len(self) - 1}, got {int(ids.min())} … {int(ids.max())}")
        rows = (takewhile(lambda token: token not in (PAD, EOS), row) for row in ids.tolist())
        return [self.spell(" ".join(self.words[token] for token in row if token != BOS)) for row in rows]

    def _ids(self, text: str) -> list[int]:
        if not isinstance(text, str):
            raise ValueError(f"expected a string, got {type(text).__name__}")
        words = _WORD.findall(text.lower())
        if not 1 <= len(words) <= self.max_words:
            raise ValueError(f"expected 1 to {self.max_words} words, got {len(words)}: {text!r}")
        ids = [self._id.get(word, UNK) for word in words]
        if set(ids) == {UNK}:
            some = ", ".join(list(self._id)[:: max(1, len(self._id) // 12)])
            raise ValueError(f"expected at least one known word (such as {some}), got {text!r}")
        return ids
