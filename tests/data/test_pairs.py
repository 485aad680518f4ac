"""What a learning step may see: two modalities, from a share of the data that no other pairing touches."""

import ast
import random
import re
from dataclasses import replace
from itertools import combinations, permutations
from pathlib import Path

import pytest
import torch

import codi_minimal.data
from codi_minimal.data import (
    ATTRIBUTES_OF,
    PAIRINGS,
    WORDS,
    Pairs,
    TalkingDigits,
    meaning,
    parse,
    unpaired,
    wholes_and_parts,
)  # fmt: skip
from codi_minimal.data.world import World

PACKAGE = Path(codi_minimal.data.__file__).parents[1]
MODALITIES = ("text", "image", "audio", "video")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def views(drawn, idx):
    """Scenes idx in the two modalities."""
    return {
        name: drawn.captions(random.Random(0), idx) if name == "text" else drawn.render(name, idx, generator())
        for name in drawn.pairing
    }


def test_no_glyph_and_no_recording_belongs_to_two_pairings(source):
    pairs = {pairing: Pairs(source, pairing) for pairing in PAIRINGS}
    for of, labels in (("glyphs", source.digits), ("recordings", source.spoken)):
        parts = [getattr(p, of) for p in pairs.values() if getattr(p, of) is not None]
        together = torch.cat(parts)
        assert len(together.unique()) == len(together) == len(labels)
        for part in parts:
            share = labels[part].bincount(minlength=10) / labels.bincount(minlength=10)
            assert (share - len(part) / len(labels)).abs().max() < 0.03  # the same share of every digit
    sizes = {p: len(pairs[p].glyphs) / len(source.digits) for p in PAIRINGS if pairs[p].glyphs is not None}
    expected = {("text", "image"): 0.4, ("text", "video"): 0.4, ("audio", "video"): 0.2}
    assert sizes == pytest.approx(expected, abs=0.01)
    voices = {p: pairs[p].recordings for p in PAIRINGS if pairs[p].recordings is not None}
    sizes = {p: len(share) / len(source.spoken) for p, share in voices.items()}
    assert sizes == pytest.approx({("text", "audio"): 0.85, ("audio", "video"): 0.15}, abs=0.03)


def test_draws_stay_within_the_share(sample):
    for pairing in PAIRINGS:
        pairs = Pairs(sample, pairing)
        scene = pairs.draw(500, generator())._scene
        for drawn, share in ((scene.glyph, pairs.glyphs), (scene.recording, pairs.recordings)):
            assert (drawn == -1).all() if share is None else torch.isin(drawn, share).all()


def test_the_split_seed_alone_fixes_the_shares(sample):
    one, same, other = (Pairs(replace(sample, split_seed=seed), ("text", "image")).glyphs for seed in (0, 0, 1))
    assert torch.equal(one, same) and not torch.equal(one, other)


def test_pairs_and_only_the_pairs_of_the_method_exist(sample):
    for pairing in permutations(MODALITIES, 2):
        if pairing in PAIRINGS or pairing[::-1] in PAIRINGS:
            assert Pairs(sample, pairing).pairing in PAIRINGS
        else:
            with pytest.raises(ValueError, match="expected one of the pairings"):
                Pairs(sample, pairing)
    assert {frozenset(p) for p in combinations(MODALITIES, 2)} - {frozenset(p) for p in PAIRINGS} == {
        frozenset(("image", "audio")),
        frozenset(("image", "video")),
    }


@pytest.mark.parametrize(
    "pairing",
    [("text",), ("text", "image", "audio"), MODALITIES, ("text", "text"), ("text", "smell"), "text"],
)
def test_anything_but_two_modalities_is_refused(sample, pairing):
    with pytest.raises(ValueError, match="expected one of the pairings"):
        Pairs(sample, pairing)


@pytest.mark.parametrize("pairing", PAIRINGS)
def test_a_batch_is_exactly_two_modalities_and_a_third_cannot_be_had(sample, pairing):
    drawn = Pairs(sample, pairing).draw(6, generator())
    batch = views(drawn, torch.tensor([4, 1]))
    assert drawn.pairing == pairing and len(drawn) == 6
    assert all(len(data) == 2 for data in batch.values())
    for name in set(MODALITIES) - set(pairing) - {"text"}:
        with pytest.raises(ValueError, match="expected one of"):
            drawn.render(name, generator=generator())
    if "text" not in pairing:
        with pytest.raises(ValueError, match="expected a pairing with text"):
            drawn.captions(random.Random(0))
    public = {name for name in vars(drawn) if not name.startswith("_")}
    assert public == {"pairing"}


@pytest.mark.parametrize("pairing", PAIRINGS)
def test_attributes_that_neither_shows_are_not_even_drawn(sample, pairing):
    scene = Pairs(sample, pairing).draw(6, generator())._scene
    shown = {name for m in pairing if m != "text" for name in ATTRIBUTES_OF[m]}
    for name in ("digit", "colour", "motion", "onset"):
        assert (getattr(scene, name) >= 0).all() == (name in shown)


@pytest.mark.parametrize("other", ["image", "audio", "video"])
def test_captions_are_fresh_true_and_say_only_what_the_other_shows(sample, other):
    drawn = Pairs(sample, ("text", other)).draw(200, generator())
    rng = random.Random(0)
    first, second = drawn.captions(rng), drawn.captions(rng)
    assert first != second
    said = set()
    for text, words in zip(first, drawn._scene.words(), strict=True):
        attributes = parse(text)
        assert attributes.items() <= words.items()
        said |= set(attributes)
    assert said == set(ATTRIBUTES_OF["text"]) & set(ATTRIBUTES_OF[other])
    spoken = sum(text.startswith(("a voice", "someone")) for text in first)
    assert spoken > 70 if other == "audio" else spoken < 20


def test_both_sides_of_a_pair_are_one_scene(ruler):
    """With a tone a digit and one still glyph, sound and film of a batch tell their common onset."""
    drawn = Pairs(_many(ruler), ("audio", "video")).draw(32, generator())
    batch = views(drawn, torch.arange(31, -1, -1))
    heard = (batch["audio"].abs() > 0.05).int().argmax(1) // 1000
    seen = (batch["video"] - batch["video"][:, :1]).abs().amax((2, 3, 4)).gt(0.01).int().argmax(1)
    assert torch.equal(heard, seen) and len(seen.unique()) == 4


def test_unpaired_covers_every_modality_and_repeats_with_its_seed(sample):
    for name in MODALITIES:
        one, same, other = (unpaired(sample, name, 4, generator(seed)) for seed in (0, 0, 1))
        assert len(one) == 4
        if name == "text":
            assert one == same != other and all(parse(text) for text in one)
        else:
            assert torch.equal(one, same) and not torch.equal(one, other)
    with pytest.raises(ValueError, match="expected a modality"):
        unpaired(sample, "smell", 4, generator())


def test_scenes_are_rendered_on_another_device_and_the_source_stays(sample):
    """On "meta", which has no numbers, an operation on tensors of two devices is an error, as on a GPU."""
    there, generator = TalkingDigits(sample).to("meta"), torch.Generator().manual_seed(0)
    drawn = there.pairs(("text", "audio")).draw(4, generator)
    assert drawn.render("audio", generator=generator).device.type == "meta"
    assert there.unpaired("audio", 4, generator).device.type == "meta"
    assert there.source is sample and there.identity == TalkingDigits(sample).identity


def test_parts_say_together_what_the_whole_says():
    wholes, (first, second) = wholes_and_parts(200, random.Random(0))
    for whole, a, b in zip(wholes, first, second, strict=True):
        assert {**parse(a), **parse(b)} == parse(whole)
    assert len({meaning(whole) for whole in wholes}) > 50
    several = [i for i, whole in enumerate(wholes) if len(parse(whole)) > 1]
    for name in WORDS:  # a part is no fixed half of a caption
        assert all(any(name in parse(part[i]) for i in several) for part in (first, second)), name


def test_the_world_shows_one_scene_in_four_ways(sample):
    scene, renders = World(sample).sample(8, generator())
    assert tuple(renders) == MODALITIES and all(len(render) == 8 for render in renders.values())
    for text, words in zip(renders["text"], scene.words(), strict=True):
        assert parse(text).items() <= words.items() and len(words) == 3


def test_training_never_sees_the_world():
    for path in (PACKAGE / "training").rglob("*.py"):
        tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        imports = [node for node in tree if isinstance(node, ast.Import | ast.ImportFrom)]
        words = {word for node in imports for word in re.findall(r"\w+", ast.unparse(node))}
        assert not {"world", "World"} & words, path.name
    assert not hasattr(codi_minimal.data, "World")


def _many(source):
    """Ten copies of a source, so that the shares of every pairing hold every digit."""
    fields = {k: torch.cat([v] * 10) if isinstance(v, torch.Tensor) else v for k, v in vars(source).items()}
    return type(source)(**fields)
