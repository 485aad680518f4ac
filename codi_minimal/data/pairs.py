"""Pairs: a training step sees two modalities. Each pairing draws from its own share of the data."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from .captions import KEPT, describe
from .scenes import ATTRIBUTES_OF, RENDERERS, Index, Scene, draw
from .sources import Source, split_shares

PAIRINGS = (("text", "image"), ("text", "audio"), ("text", "video"), ("audio", "video"))
GLYPH_SHARES = {("text", "image"): 0.4, ("text", "video"): 0.4, ("audio", "video"): 0.2}
RECORDING_SHARES = {("text", "audio"): 0.85, ("audio", "video"): 0.15}
_VOICE = {("text", "audio"): 0.5}  # the probability that a digit's caption mentions a voice, if not 0.1


@dataclass(frozen=True, eq=False, repr=False)
class Drawn:
    """Scenes of which only the two modalities of a pairing can be rendered."""

    pairing: tuple[str, str]
    _source: Source
    _scene: Scene

    def __len__(self) -> int:
        return len(self._scene)

    def render(self, name: str, idx: Index = slice(None), generator: torch.Generator | None = None) -> Tensor:
        """Image, audio or video of the scenes, or of scenes idx: shapes and ranges as in `scenes.RENDERERS`.

        Raises:
            ValueError: the pairing has no such modality, or it is text; audio without a generator.
        """
        expected = tuple(m for m in self.pairing if m in RENDERERS)
        if name not in expected:
            raise ValueError(f"expected one of {expected} of the pairing {self.pairing}, got {name!r}")
        return RENDERERS[name](self._source, self._scene[idx], generator)

    def captions(self, rng: random.Random, idx: Index = slice(None), kept: Mapping[str, float] = KEPT) -> list[str]:
        """New captions of the scenes, or of scenes idx. Each call draws other words.

        A caption states a random subset of the attributes that the other modality shows, each with the probability
        in `kept`. ValueError: the pairing has no text.
        """
        if "text" not in self.pairing:
            raise ValueError(f"expected a pairing with text, got {self.pairing}")
        (other,) = set(self.pairing) - {"text"}
        names = [name for name in ATTRIBUTES_OF["text"] if name in ATTRIBUTES_OF[other]]
        return describe(self._scene[idx], names, rng, _VOICE.get(self.pairing, 0.1), kept)


class Pairs:
    """Draws of one pairing, from its own disjoint share of glyphs and recordings.

    Args:
        source: handwriting and voices. Its ``split_seed`` alone fixes the shares: those of all pairings are disjoint.
        pairing: one of PAIRINGS, in either order. Anything else is a ValueError.
    """

    def __init__(self, source: Source, pairing: Sequence[str]) -> None:
        known = [p for p in PAIRINGS if sorted(p) == sorted(pairing)]
        if not known:
            raise ValueError(f"expected one of the pairings {PAIRINGS}, got {tuple(pairing)}")
        self._source, self.pairing = source, known[0]
        self.glyphs = split_shares(source.digits, GLYPH_SHARES, source.split_seed).get(self.pairing)
        self.recordings = split_shares(source.spoken, RECORDING_SHARES, source.split_seed).get(self.pairing)

    def add_voices(self, recordings: Sequence[Tensor], spoken: Sequence[int]) -> None:
        """Draw from further recordings (n,), trimmed as those of a `Source`, of the digits `spoken`, too.

        ValueError: the pairing has no audio.
        """
        if self.recordings is None:
            raise ValueError(f"expected a pairing with audio, got {self.pairing}")
        source, known = self._source, len(self._source.spoken)
        rows = [row[:length] for row, length in zip(source.recordings, source.lengths.tolist(), strict=True)]
        self._source = replace(
            source,
            recordings=pad_sequence([*rows, *(wave.to(rows[0]) for wave in recordings)], batch_first=True),
            lengths=torch.cat([source.lengths, torch.tensor([len(wave) for wave in recordings], dtype=torch.long)]),
            spoken=torch.cat([source.spoken, torch.tensor(spoken, dtype=torch.long)]),
            speakers=torch.cat([source.speakers, torch.full((len(spoken),), -1)]),
        )
        self.recordings = torch.cat([self.recordings, known + torch.arange(len(spoken))])

    def draw(self, n: int, generator: torch.Generator) -> Drawn:
        """n pairs; attributes that neither modality shows are -1. Errors as of `scenes.draw`."""
        scene = draw(self._source, n, generator, self.glyphs, self.recordings)
        shown = {name for m in self.pairing if m in RENDERERS for name in ATTRIBUTES_OF[m]}
        hidden = {name: torch.full_like(scene.digit, -1) for name in ATTRIBUTES_OF["video"] if name not in shown}
        return Drawn(self.pairing, self._source, replace(scene, **hidden))


def unpaired(source: Source, name: str, n: int, generator: torch.Generator) -> Any:
    """n samples of one modality alone, from all of the source: n captions, or a tensor (n, ...), see `scenes`.

    Autoencoders are trained on them. ValueError: the modality is unknown.
    """
    if name not in ATTRIBUTES_OF:
        raise ValueError(f"expected a modality of {tuple(ATTRIBUTES_OF)}, got {name!r}")
    scene = draw(source, n, generator, torch.arange(len(source.digits)), torch.arange(len(source.spoken)))
    if name in RENDERERS:
        return RENDERERS[name](source, scene, generator)
    rng = random.Random(int(torch.randint(2**31, (), generator=generator)))
    return describe(scene, ATTRIBUTES_OF[name], rng)
