"""Pairs of one's own, as `media.read_pairs` reads them: items of two modalities or more that belong together."""

import hashlib
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from codi_minimal.config import MODALITIES

from .captions import KEPT
from .scenes import Index
from .sources import VALIDATION

FEWEST = 4  # pairs of a pairing; of as many items, one at least is held out
LEVELS = {"image": 255, "audio": 32767, "video": 255}  # data are kept as whole numbers, which take little memory
TYPES = {"image": torch.uint8, "audio": torch.int16, "video": torch.uint8}
_WORD = re.compile(r"[^\W_]+")


def words_of(text: str) -> list[str]:
    """The words of a caption, as the tokenizer reads it."""
    return _WORD.findall(text.lower())


def whole_numbers(name: str, x: Tensor) -> Tensor:
    """Data of a modality as they are kept."""
    return (x * LEVELS[name]).round().to(TYPES[name])


@dataclass(frozen=True, eq=False, repr=False)
class OwnSamples:
    """Items of which only the two modalities of a pairing can be read."""

    pairing: tuple[str, str]
    _of: "OwnPairs"
    _items: Tensor  # (n,)

    def __len__(self) -> int:
        return len(self._items)

    def render(self, name: str, idx: Index = slice(None), generator: torch.Generator | None = None) -> Tensor:
        """The data of a modality, all or those of idx. ValueError: it is none of the pairing's, or text."""
        if name not in self.pairing or name not in LEVELS:
            raise ValueError(f"expected a modality of {self.pairing} other than text, got {name!r}")
        return self._of.data(name, self._items[idx])

    def captions(self, rng: random.Random, idx: Index = slice(None), kept: Mapping[str, float] = KEPT) -> list[str]:
        """One of the captions of each item; `kept` has no meaning here. ValueError: the pairing has no text."""
        if "text" not in self.pairing:
            raise ValueError(f"expected a pairing with text, got {self.pairing}")
        return [rng.choice(self._of.texts[i]) for i in self._items[idx].tolist()]


@dataclass(frozen=True, eq=False, repr=False)
class OwnPairs:
    """A corpus of n items.

    Args:
        texts: the captions of each item; none where it has no text.
        rows: for each other modality the row (n,) of `tensors` that an item has; -1: none.
        tensors: (k, ...), see `whole_numbers`. place: the folder or table, for reports.
        fit: how files became data, see `fitting`. items: those of this share; None: all.
    """

    texts: Sequence[tuple[str, ...]]
    rows: Mapping[str, Tensor]
    tensors: Mapping[str, Tensor]
    place: str = "own pairs"
    fit: str = "plain"
    split: str = "all"
    split_seed: int = 0
    items: Tensor | None = None
    pairings: tuple[tuple[str, str], ...] = field(init=False)
    vocabulary: tuple[str, ...] = field(init=False)
    longest: int = field(init=False)  # words of a caption
    there: dict[str, Tensor] = field(init=False)  # for each modality, which items have it: (n,) bool
    about = "The code is MIT-licensed. The weights were trained on data that is not the project's; name its sources."
    option = "--pairs FOLDER"

    def __post_init__(self) -> None:
        items = torch.arange(len(self.texts)) if self.items is None else self.items
        object.__setattr__(self, "items", items)
        has = {"text": torch.tensor([bool(texts) for texts in self.texts])}
        object.__setattr__(self, "there", has | {name: rows >= 0 for name, rows in self.rows.items()})
        there = tuple(pairing for pairing in combinations(MODALITIES, 2) if len(self.items_of(pairing)) >= 1)
        object.__setattr__(self, "pairings", there)
        said = [words_of(text) for texts in self.texts for text in texts]  # of all shares: one may lack a word
        object.__setattr__(self, "vocabulary", tuple(sorted({word for words in said for word in words})))
        object.__setattr__(self, "longest", max(map(len, said), default=0))

    @property
    def name(self) -> str:
        counts = (f"{len(self.items_of(pairing))} of {' and '.join(pairing)}" for pairing in self.pairings)
        return f"own pairs of {self.place}: {', '.join(counts)}"

    @cached_property
    def identity(self) -> str:
        """Eight hexadecimal digits: the fingerprint of the content and of ``split_seed``."""
        digest = hashlib.sha256(repr((self.split_seed, self.fit, self.texts)).encode())
        for name, rows in self.rows.items():
            digest.update(rows.numpy().tobytes() + self.tensors[name].contiguous().numpy().tobytes())
        return f"own pairs {digest.hexdigest()[:8]}"

    def share(self, split: str, split_seed: int = 0) -> "OwnPairs":
        """The share "train" or "validation", which is about a tenth; ValueError: another split.

        A hash of its data decides for an item, so that items may come and go. Items that share an image, a sound or a
        clip are in one share. Of FEWEST items with the same modalities, one at least is held out.
        """
        if split not in ("train", "validation"):
            raise ValueError(f"expected the split train or validation, got {split!r}")
        groups = self._groups()
        place = {group: _between_0_and_1(f"{split_seed} {group}") for group in set(groups)}
        held_out = {group for group, at in place.items() if at < VALIDATION}
        kinds: dict[tuple[bool, ...], list[int]] = {}
        for i, kind in enumerate(zip(*(self.there[name].tolist() for name in self.there), strict=True)):
            kinds.setdefault(kind, []).append(i)
        for of_kind in kinds.values():
            if len(of_kind) >= FEWEST and not held_out & {groups[i] for i in of_kind}:
                held_out.add(min((groups[i] for i in of_kind), key=place.__getitem__))
        items = [i for i, group in enumerate(groups) if (group in held_out) == (split == "validation")]
        return replace(self, split=split, split_seed=split_seed, items=torch.tensor(items, dtype=torch.long))

    def _groups(self) -> list[str]:
        """For each item a name of its group: of the data that link it to others, the least hash."""
        name_of: dict[str, str] = {}  # a hash → another of its group, which is less, or itself

        def least(key: str) -> str:
            while name_of[key] != key:
                key = name_of[key]
            return key

        of_items = []
        for i, texts in enumerate(self.texts):
            own = [
                self.tensors[name][row].numpy().tobytes() for name, rows in self.rows.items() if (row := rows[i]) >= 0
            ]
            keys = [hashlib.sha256(data).hexdigest() for data in own or [repr(texts).encode()]]
            together = min(least(name_of.setdefault(key, key)) for key in keys)
            for key in keys:
                name_of[least(key)] = together
            of_items.append(keys[0])
        return [least(key) for key in of_items]

    def items_of(self, names: Sequence[str]) -> Tensor:
        """The items of this share that have all these modalities, (n,)."""
        none = torch.zeros(len(self.texts), dtype=torch.bool)
        have = torch.stack([self.there.get(name, none) for name in names]).all(dim=0)
        return self.items[have[self.items]]

    def data(self, name: str, items: Tensor) -> Tensor:
        """The data of a modality other than text of some items, float32."""
        return self.tensors[name][self.rows[name][items]].float() / LEVELS[name]

    def with_stills(self) -> "OwnPairs":
        """The same, and if it has captioned clips and no images, the middle frame of a clip is the image of its item.

        The autoencoder of clips encodes their frames as images, so that a model of clips is also one of images.
        """
        if "image" in self.rows or ("text", "video") not in self.pairings:
            return self
        stills = {"image": self.tensors["video"][:, self.tensors["video"].shape[1] // 2]}
        rows = {"image": self.rows["video"]}
        return replace(self, rows={**self.rows, **rows}, tensors={**self.tensors, **stills})

    def pairs(self, pairing: Sequence[str]) -> "OwnDraws":
        found = [p for p in self.pairings if sorted(p) == sorted(pairing)]
        if not found:
            raise ValueError(f"expected one of the pairings {self.pairings}, got {tuple(pairing)}")
        return OwnDraws(self, found[0], self.items_of(found[0]))

    def unpaired(self, name: str, n: int, generator: torch.Generator) -> Any:
        items = self.items_of([name])
        items = items[torch.randint(len(items), (n,), generator=generator)]
        if name in LEVELS:
            return self.data(name, items)
        rng = random.Random(int(torch.randint(2**31, (), generator=generator)))
        return [rng.choice(self.texts[i]) for i in items.tolist()]

    def _texts(self) -> list[str]:
        return [text for i in self.items.tolist() for text in self.texts[i]]

    def all_captions(self) -> list[str]:
        return list(dict.fromkeys(self._texts()))

    def meaning(self, text: str) -> str:
        return " ".join(words_of(text))

    def wholes_and_parts(self, n: int, rng: random.Random) -> None:
        return None

    def distractors(self, name: str, n: int, rng: random.Random) -> None:
        return None

    def prompts(self, n: int, rng: random.Random) -> list[str]:
        return rng.choices(self.all_captions(), k=n)


def _between_0_and_1(text: str) -> float:
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) / 16**8


@dataclass(frozen=True)
class OwnDraws:
    """The pairs of one pairing."""

    _of: OwnPairs
    pairing: tuple[str, str]
    items: Tensor

    def draw(self, n: int, generator: torch.Generator) -> OwnSamples:
        """n different pairs, or all if there are fewer, in random order."""
        order = torch.randperm(len(self.items), generator=generator)[:n]
        return OwnSamples(self.pairing, self._of, self.items[order])
