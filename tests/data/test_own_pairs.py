"""Pairs of one's own: shares, pairings, and that data and captions of a sample belong to one item."""

import random

import pytest
import torch

from codi_minimal.data import OwnPairs
from codi_minimal.data.own_pairs import kept


def numbered(n: int = 40, **changes) -> OwnPairs:
    """Items whose image, sound and caption say their number; the last quarter has no text, the first no sound."""
    numbers = torch.arange(n)
    image = kept("image", (numbers / 255)[:, None, None, None].expand(n, 3, 32, 32))
    audio = kept("audio", (numbers / 32767)[:, None].expand(n, 8192))
    quarter = n // 4
    texts = [(f"item {i}", f"number {i}") if i < n - quarter else () for i in range(n)]
    rows = {"image": numbers.flip(0).argsort(), "audio": torch.where(numbers < quarter, -1, numbers)}
    return OwnPairs(texts, rows, {"image": image.flip(0), "audio": audio}, **changes)


def number(name: str, x: torch.Tensor) -> list[int]:
    return (x.flatten(1)[:, 0] * {"image": 255, "audio": 32767}[name]).round().int().tolist()


def test_the_pairings_are_those_that_items_have():
    pairs = numbered()
    assert pairs.pairings == (("text", "image"), ("text", "audio"), ("image", "audio"))
    assert len(pairs.items_of(("text", "image"))) == 30 and len(pairs.items_of(("text", "audio"))) == 20
    assert "40" not in pairs.vocabulary and {"item", "number", "29"} <= set(pairs.vocabulary)
    assert pairs.name == "own pairs of own pairs: 30 of text and image, 20 of text and audio, 30 of image and audio"


@pytest.mark.parametrize("pairing", [("text", "image"), ("audio", "text"), ("image", "audio")])
def test_both_halves_of_a_sample_are_of_one_item(pairing):
    pairs = numbered().share("train")
    drawn = pairs.pairs(pairing).draw(12, torch.Generator().manual_seed(0))
    assert len(drawn) == 12
    for idx in (slice(None), [3, 1, 1], torch.tensor([5])):
        said = {name: number(name, drawn.render(name, idx)) for name in pairing if name != "text"}
        if "text" in pairing:
            said["text"] = [int(text.split()[1]) for text in drawn.captions(random.Random(0), idx)]
        first, second = said.values()
        assert first == second and len(set(first)) > 1 - (len(first) == 1)
    assert {text.split()[0] for text in pairs.all_captions()} == {"item", "number"}


def test_a_batch_has_no_item_twice_and_no_more_than_there_are():
    draws = numbered().pairs(("text", "image"))
    for n in (7, 30, 500):
        numbers = number("image", draws.draw(n, torch.Generator().manual_seed(n)).render("image"))
        assert len(numbers) == min(n, 30) == len(set(numbers))
    one, two = (number("image", draws.draw(30, torch.Generator().manual_seed(s)).render("image")) for s in (0, 1))
    assert sorted(one) == sorted(two) and one != two


def test_a_tenth_of_each_kind_of_item_is_held_out():
    pairs = numbered(80)
    train, held_out = pairs.share("train", 3), pairs.share("validation", 3)
    assert sorted(torch.cat([train.items, held_out.items]).tolist()) == list(range(80))
    assert [len(held_out.items_of(p)) for p in (("text", "image"), ("text", "audio"), ("image", "audio"))] == [6, 4, 6]
    assert train.pairings == held_out.pairings == pairs.pairings and train.vocabulary == held_out.vocabulary
    assert (train.split, train.split_seed, held_out.split) == ("train", 3, "validation")
    assert not set(train.all_captions()) & set(held_out.all_captions())
    assert not torch.equal(held_out.items, pairs.share("validation", 4).items)
    with pytest.raises(ValueError, match="expected the split train or validation, got 'test'"):
        pairs.share("test")


def test_data_of_one_modality_alone_are_those_of_the_share():
    train = numbered().share("train")
    g = torch.Generator().manual_seed(0)
    assert set(number("audio", train.unpaired("audio", 300, g))) == set(train.items_of(["audio"]).tolist())
    assert set(train.unpaired("text", 900, g)) == set(train.all_captions())


def test_the_identity_is_that_of_content_and_share():
    pairs = numbered()
    assert pairs.identity == numbered().identity
    others = [numbered(36), numbered(split_seed=1), numbered(fit="digits")]
    louder = OwnPairs(pairs.texts, pairs.rows, {**pairs.tensors, "audio": pairs.tensors["audio"] + 1})
    assert len({p.identity for p in (pairs, louder, *others)}) == 5


def test_a_clip_lends_its_middle_frame_where_there_is_no_image():
    clips = torch.arange(8, dtype=torch.uint8)[None, :, None, None, None].expand(5, 8, 3, 32, 32)
    pairs = OwnPairs([(f"clip {i}",) for i in range(5)], {"video": torch.arange(5)}, {"video": clips})
    assert pairs.pairings == (("text", "video"),)
    more = pairs.with_stills()
    assert ("text", "image") in more.pairings and (more.data("image", torch.arange(5)) * 255 == 4).all()
    assert more.with_stills() is more and numbered().with_stills().rows.keys() == {"image", "audio"}
    assert torch.equal(more.share("validation").items, pairs.share("validation").items)


def test_what_nobody_has_is_refused():
    pairs = numbered()
    with pytest.raises(ValueError, match="expected one of the pairings .*, got .'video', 'text'."):
        pairs.pairs(("video", "text"))
    drawn = pairs.pairs(("image", "audio")).draw(2, torch.Generator())
    with pytest.raises(ValueError, match="expected a pairing with text"):
        drawn.captions(random.Random(0))
    with pytest.raises(ValueError, match="expected a modality of .* other than text, got 'video'"):
        drawn.render("video")
    assert pairs.wholes_and_parts(3, random.Random(0)) is None is pairs.distractors("image", 3, random.Random(0))
    assert pairs.meaning("A red  CAT!") == pairs.meaning("a red cat") != pairs.meaning("a cat")
