"""What training asks of its data; and Talking Digits, which answers it from a `Source`."""

import random
from collections.abc import Hashable, Mapping, Sequence
from copy import copy
from typing import Any, Protocol

import torch
from torch import Tensor

from .captions import KEPT, VOCABULARY, caption, meaning, sample_subset, sentences
from .pairs import PAIRINGS, Pairs, unpaired
from .scenes import ATTRIBUTES_OF, WORDS, Index
from .sources import Source

LICENCE = """\
The code is MIT-licensed. The weights hold no recording and no image; name these sources where you pass them on."""
TALKING_DIGITS = f"""- Handwriting: MNIST (LeCun, Cortes and Burges), CC BY-SA 3.0.
- Voices: Free Spoken Digit Dataset (Jakobovski et al.), CC BY-SA 4.0, six speakers.

{LICENCE}"""
BUILTIN_SAMPLE = f"""- Handwriting: `load_digits` of scikit-learn (Alpaydin and Kaynak, UCI), CC BY 4.0.
- Voices: synthetic, made by rules.

{LICENCE}"""


class Samples(Protocol):
    """Samples of one pairing."""

    def __len__(self) -> int: ...

    def render(self, name: str, idx: Index = slice(None), generator: torch.Generator | None = None) -> Tensor:
        """The data of a modality other than text, all or those of idx."""

    def captions(self, rng: random.Random, idx: Index = slice(None), kept: Mapping[str, float] = KEPT) -> list[str]:
        """One caption for each sample, all or those of idx; `kept` has how often each attribute is said, if any is."""


class Draws(Protocol):
    """The samples of one pairing, of which each call draws some."""

    def draw(self, n: int, generator: torch.Generator) -> Samples:
        """n samples, or all that there are."""


class Corpus(Protocol):
    """Data to train on. Every pairing that it has is one of modalities that training may see together.

    Args:
        name, identity: for reports; the identity also tells the content apart. about: sources and licences.
        option: of the command line that reads it. fit: how files become data of its kind, see `fitting`.
        split, split_seed: the share that it is, as of `load`.
        vocabulary: all words of its captions. longest: how many words a caption has, at most.
    """

    name: str
    identity: str
    about: str
    option: str
    fit: str
    split: str
    split_seed: int
    vocabulary: Sequence[str]
    longest: int
    pairings: Sequence[tuple[str, str]]

    def pairs(self, pairing: Sequence[str]) -> Draws:
        """The samples of a pairing."""

    def unpaired(self, name: str, n: int, generator: torch.Generator) -> Any:
        """n samples of one modality alone: captions, or a tensor (n, ...)."""

    def all_captions(self) -> list[str]:
        """Every caption that can be drawn, once."""

    def meaning(self, text: str) -> Hashable:
        """The same for captions that mean the same."""

    def wholes_and_parts(self, n: int, rng: random.Random) -> tuple[list[str], list[list[str]]] | None:
        """n captions, and lists of n captions that together state the same; None if nothing knows their parts."""

    def distractors(self, name: str, n: int, rng: random.Random) -> list[str] | None:
        """n captions of what modality `name` cannot show; None if it can show all, or nothing knows what it can."""

    def prompts(self, n: int, rng: random.Random) -> list[str]:
        """n captions to show results of."""


class TalkingDigits:
    """The world of a `Source`: every pairing has a share of its own."""

    option, fit, vocabulary, pairings = "--data DATA", "digits", VOCABULARY, PAIRINGS
    longest = max(len(text.split()) for text, _ in sentences())

    def __init__(self, source: Source) -> None:
        self.source, self.split, self.split_seed = source, source.split, source.split_seed
        self._rendered = source  # the same on the device where scenes are rendered
        self.about = BUILTIN_SAMPLE if source.name == "built-in sample" else TALKING_DIGITS
        self.name = f"{source.name}, {len(source.digits)} handwritten digits and {len(source.spoken)} recordings"

    @property
    def identity(self) -> str:
        return self.source.identity

    def to(self, device: torch.device | str) -> "TalkingDigits":
        """The same, whose scenes are rendered on a device. `source` stays where it is."""
        moved = copy(self)
        moved._rendered = self.source.to(device)
        return moved

    def pairs(self, pairing: Sequence[str]) -> Pairs:
        return Pairs(self._rendered, pairing)

    def unpaired(self, name: str, n: int, generator: torch.Generator) -> Any:
        return unpaired(self._rendered, name, n, generator)

    def all_captions(self) -> list[str]:
        return list(dict.fromkeys(text for text, _ in sentences()))

    def meaning(self, text: str) -> str:
        return meaning(text)

    def wholes_and_parts(self, n: int, rng: random.Random) -> tuple[list[str], list[list[str]]]:
        return wholes_and_parts(n, rng)

    def distractors(self, name: str, n: int, rng: random.Random) -> list[str] | None:
        return distractors(name, n, rng)

    def prompts(self, n: int, rng: random.Random) -> list[str]:
        return [caption({k: rng.choice(v) for k, v in WORDS.items()}, rng) for _ in range(n)]


def wholes_and_parts(n: int, rng: random.Random) -> tuple[list[str], list[list[str]]]:
    """n captions, and two lists of n captions that together state the same.

    "a red seven sliding left" may have the parts "something red" and "a seven that moves left"; "a seven" has two
    paraphrases of itself.
    """
    wholes, parts = [], [[], []]
    for _ in range(n):
        said = {name: rng.choice(WORDS[name]) for name in sample_subset(tuple(WORDS), rng)}
        names = rng.sample(list(said), len(said))
        cut = rng.randint(1, max(1, len(names) - 1))
        wholes.append(caption(said, rng))
        parts[0].append(caption({k: said[k] for k in names[:cut]}, rng))
        parts[1].append(caption({k: said[k] for k in names[cut:] or names}, rng))
    return wholes, parts


def distractors(name: str, n: int, rng: random.Random) -> list[str] | None:
    """n captions of attributes that modality `name` cannot show, or None if it can show all that captions state.

    An image cannot show "sliding left". Mixed into its prompt, such a caption teaches the denoiser to ignore it.
    """
    foreign = tuple(a for a in WORDS if a not in ATTRIBUTES_OF[name])
    if not foreign:
        return None
    subsets = (sample_subset(foreign, rng) for _ in range(n))
    return [caption({a: rng.choice(WORDS[a]) for a in subset}, rng) for subset in subsets]
