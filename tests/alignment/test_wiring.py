"""Which stream sees the environment of which others."""

import pytest
import torch
import torch.nn.functional as F

from codi_minimal.alignment import check_wiring, gather, wire
from codi_minimal.alignment.environment import CLOCK

WIDTH = CLOCK + 16  # of a token
TOKENS = {
    "video": torch.randn(3, 2 + 8, WIDTH),
    "text": torch.randn(3, 2, WIDTH),
    "audio": torch.randn(3, 2 + 8, WIDTH),
}


def tokens_of(wired):
    """The tokens alone, all of which are there."""
    assert all(env is None or env.present.all() for env in wired.values())
    return {name: None if env is None else env.tokens for name, env in wired.items()}


def test_each_stream_sees_all_tokens_of_all_others_and_none_of_its_own():
    env = tokens_of(wire(TOKENS))
    assert torch.equal(env["text"], torch.cat([TOKENS["audio"], TOKENS["video"]], dim=1))
    assert torch.equal(env["audio"], torch.cat([TOKENS["text"], TOKENS["video"]], dim=1))
    assert torch.equal(env["video"], torch.cat([TOKENS["audio"], TOKENS["text"]], dim=1))


def test_own_sees_itself_pooled_one_token_a_stream_and_off_nothing():
    assert all(torch.equal(env, TOKENS[name]) for name, env in tokens_of(wire(TOKENS, "own")).items())
    pooled = tokens_of(wire(TOKENS, "pooled"))
    assert pooled["text"].shape == (3, 2, WIDTH)
    said = F.normalize(TOKENS["audio"].mean(dim=1)[:, :-CLOCK], dim=-1) * WIDTH**0.5
    torch.testing.assert_close(pooled["text"][:, 0], F.pad(said, (0, CLOCK)))
    assert set(wire(TOKENS, "off").values()) == {None}


def test_a_mapping_names_whom_each_stream_sees():
    over_text = {"text": ("audio", "video"), "audio": ("text",), "video": ("text", "image")}
    env = tokens_of(wire(TOKENS, over_text))
    assert torch.equal(env["audio"], TOKENS["text"]) and torch.equal(env["video"], TOKENS["text"])
    assert torch.equal(env["text"], wire(TOKENS)["text"].tokens)
    assert wire(TOKENS, {"audio": ("audio",)}) == dict.fromkeys(TOKENS)  # never itself; who is not named sees none
    prompt = torch.randn(3, 2, WIDTH)
    assert torch.equal(wire(TOKENS, {}, [prompt])["text"].tokens, prompt)  # prompts are seen by all


@pytest.mark.parametrize(("wiring", "listens"), [("others", True), ("pooled", True), ("own", False), ("off", False)])
def test_a_change_of_b_reaches_a_or_does_not(wiring, listens):
    changed = tokens_of(wire({**TOKENS, "video": TOKENS["video"] + 1}, wiring))["audio"]
    before = tokens_of(wire(TOKENS, wiring))["audio"]
    assert (changed is not None and not torch.equal(changed, before)) == listens


def test_the_order_of_streams_does_not_matter():
    shuffled = {name: TOKENS[name] for name in ("audio", "text", "video")}
    for wiring in ("others", "pooled", "own"):
        for name, env in wire(shuffled, wiring).items():
            assert torch.equal(env.tokens, wire(TOKENS, wiring)[name].tokens)


def test_a_stream_alone_has_no_environment():
    assert wire({"text": TOKENS["text"]}) == {"text": None}
    with pytest.raises(ValueError, match="expected a wiring out of others, own, pooled, off, or a mapping, got 'all'"):
        wire(TOKENS, "all")


def test_prompts_are_seen_by_every_stream_as_other_streams_are():
    given = [torch.randn(3, 2 + 8, WIDTH)]
    env = tokens_of(wire(TOKENS, prompts=given))
    assert torch.equal(env["text"][:, -10:], given[0])
    assert torch.equal(env["audio"][:, -10:], given[0])
    assert torch.equal(wire({"text": TOKENS["text"]}, prompts=given)["text"].tokens, given[0])
    assert wire(TOKENS, "pooled", given)["text"].tokens.shape == (3, 3, WIDTH)
    assert torch.equal(wire(TOKENS, "own", given)["text"].tokens, TOKENS["text"])
    assert wire(TOKENS, "off", given)["text"] is None


def test_a_stream_whose_tokens_nobody_needs_is_left_out():
    env = tokens_of(wire({**TOKENS, "video": None}))
    assert torch.equal(env["text"], TOKENS["audio"]) and torch.equal(env["audio"], TOKENS["text"])
    assert torch.equal(env["video"], torch.cat([TOKENS["audio"], TOKENS["text"]], dim=1))
    assert wire({"text": None}, "own") == {"text": None}


def test_tokens_are_gathered_one_stream_after_the_other_or_one_token_a_stream():
    streams = [TOKENS["video"], TOKENS["text"]]
    assert torch.equal(gather(streams).tokens, torch.cat(streams, dim=1))
    pooled = gather(streams, "pooled").tokens
    assert pooled.shape == (3, 2, WIDTH) and not pooled[..., -CLOCK:].any()
    torch.testing.assert_close(pooled.norm(dim=-1), torch.full((3, 2), WIDTH**0.5))


@pytest.mark.parametrize(
    ("wiring", "message"),
    [
        ({"image": "audio"}, "wiring: expected a sequence of names for each stream, got"),
        ({"image": 3}, "wiring: expected a sequence of names for each stream, got"),
        (3, "expected a wiring out of others, own, pooled, off, or a mapping, got 3"),
        ([], "expected a wiring out of others, own, pooled, off, or a mapping"),
    ],
)
def test_bad_wirings_are_named(wiring, message):
    with pytest.raises(ValueError, match=message):
        check_wiring(wiring)
    with pytest.raises(ValueError, match=message):
        wire(TOKENS, wiring)
