"""Pairs of one's own: shares, pairings, and that data and captions of a sample belong to one item."""

import random

import pytest
import torch

from codi_minimal.data import OwnPairs
from codi_minimal.data.own_pairs import FEWEST, whole_numbers


def numbered(n: int = 40, **changes) -> OwnPairs:
    """Items whose image, sound and caption say their number; the last quarter has no text, the first no sound."""
    numbers = torch.arange(n)
    image = whole_numbers("image", (numbers / 255)[:, None, None, None].expand(n, 3, 32, 32))
    audio = whole_numbers("audio", (numbers / 32767)[:, None].expand(n, 8192))
    quarter = n // 4
    texts = [(f"item {i}", f"number {i}") if i < n - quarter else () for i in range(n)]
    rows = {"image": numbers.flip(0).argsort(), "audio": torch.where(numbers < quarter, -1, numbers)}
    return OwnPairs(texts, rows, {"image": image.flip(0), "audio": audio}, **changes)


def sounds(n: int) -> torch.Tensor:
    return torch.arange(n, dtype=torch.int16)[:, None].expand(n, 8192)


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


def test_about_a_tenth_is_held_out_and_the_rest_is_trained_on():
    pairs = numbered(200)
    train, held_out = pairs.share("train", 3), pairs.share("validation", 3)
    assert sorted(torch.cat([train.items, held_out.items]).tolist()) == list(range(200))
    assert 8 <= len(held_out.items) <= 34 and train.pairings == held_out.pairings == pairs.pairings
    assert train.vocabulary == held_out.vocabulary == pairs.vocabulary
    assert (train.split, train.split_seed, held_out.split) == ("train", 3, "validation")
    assert not set(train.all_captions()) & set(held_out.all_captions())
    assert set(held_out.items.tolist()) != set(pairs.share("validation", 4).items.tolist())
    with pytest.raises(ValueError, match="expected the split train or validation, got 'test'"):
        pairs.share("test")


def test_items_may_come_and_go_without_moving_others_to_the_other_share():
    held_out = [set(numbered(n).share("validation").all_captions()) for n in (80, 120)]
    texts = [f"{what} {i}" for what in ("item", "number") for i in range(80 - 80 // 4)]  # of the items that have text
    assert held_out[0] & set(texts) == held_out[1] & set(texts) and len(held_out[0]) > 4


def test_items_that_share_data_are_in_one_share():
    image = torch.arange(30, dtype=torch.uint8)[:, None, None, None].expand(30, 3, 32, 32)
    audio = torch.arange(60, dtype=torch.int16)[:, None].expand(60, 8192)
    # items 2 k and 2 k + 1 share an image, 2 k + 1 and 2 k + 2 a sound, in fours
    rows = {"image": torch.arange(120) // 4, "audio": (torch.arange(120) + 1) // 2 % 60}
    pairs = OwnPairs([(f"item {i}",) for i in range(120)], rows, {"image": image, "audio": audio})
    train, held_out = ({*pairs.share(s).items.tolist()} for s in ("train", "validation"))
    for name, row in rows.items():
        assert not {int(row[i]) for i in train} & {int(row[i]) for i in held_out}, name


def test_of_few_items_one_is_held_out():
    for n, held_out in ((FEWEST - 1, 0), (FEWEST, 1)):
        image = (100 + torch.arange(n, dtype=torch.uint8))[:, None, None, None].expand(n, 3, 32, 32)
        pairs = OwnPairs([("one",)] * n, {"image": torch.arange(n)}, {"image": image})
        assert len(pairs.share("validation", 1).items) == held_out


def test_data_of_one_modality_alone_are_those_of_the_share():
    train = numbered().share("train")
    g = torch.Generator().manual_seed(0)
    assert set(number("audio", train.unpaired("audio", 300, g))) == set(train.items_of(["audio"]).tolist())
    assert set(train.unpaired("text", 900, g)) == set(train.all_captions())


def test_the_identity_is_that_of_content_and_share():
    pairs = numbered()
    assert pairs.identity == numbered().identity
    others = [numbered(36), numbered(split_seed=1), numbered(fit="digits")]
    others.append(OwnPairs([tuple(text.upper() for text in texts) for texts in pairs.texts], pairs.rows, pairs.tensors))
    louder = OwnPairs(pairs.texts, pairs.rows, {**pairs.tensors, "audio": pairs.tensors["audio"] + 1})
    assert len({p.identity for p in (pairs, louder, *others)}) == 6


def test_a_clip_lends_its_middle_frame_where_there_is_no_image():
    clips = torch.arange(8, dtype=torch.uint8)[None, :, None, None, None].expand(5, 8, 3, 32, 32)
    pairs = OwnPairs([(f"clip {i}",) for i in range(5)], {"video": torch.arange(5)}, {"video": clips})
    assert pairs.pairings == (("text", "video"),)
    more = pairs.with_stills()
    assert ("text", "image") in more.pairings and (more.data("image", torch.arange(5)) * 255 == 4).all()
    assert more.with_stills() is more and numbered().with_stills().rows.keys() == {"image", "audio"}
    silent = OwnPairs([()] * 5, {**pairs.rows, "audio": torch.arange(5)}, {**pairs.tensors, "audio": sounds(5)})
    assert silent.with_stills() is silent  # nothing would tell what a still shows
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
