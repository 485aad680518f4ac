"""Words to ids and back."""

import re

import numpy as np

PAD, BOS, EOS, UNK = range(4)


def spell_articles(text: str) -> str:
    """Each "a" or "an" becomes "an" before a word in a, e, i, o, u other than "one", and "a" before any other."""
    return re.sub(r"\ban? (?=(\w+))", lambda m: "an " if m[1][0] in "aeiou" and m[1] != "one" else "a ", text)


def encode(texts: list[str], vocabulary: list[str], max_words: int) -> np.ndarray:
    """Ids (b, max_words + 2): BOS, the words, EOS, then PAD. Word i has id 4 + i, any other UNK."""
    ids = np.full((len(texts), max_words + 2), PAD)
    for row, text in zip(ids, texts, strict=True):
        words = re.findall(r"[^\W_]+", text.lower())
        row[: len(words) + 2] = [BOS, *(vocabulary.index(w) + 4 if w in vocabulary else UNK for w in words), EOS]
    return ids


def decode(ids: list[int], vocabulary: list[str]) -> str:
    """The words up to the first EOS or PAD, with articles as they are spelt."""
    words = []
    for token in ids:
        if token in (EOS, PAD):
            break
        words += [vocabulary[token - 4]] if token >= 4 else []
    return spell_articles(" ".join(words))
