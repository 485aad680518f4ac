"""Wirings, L_Con and L_Cross."""

import pytest
import torch
import torch.nn.functional as F

from codi_minimal.alignment import EnvironmentAttention, contrastive_loss, cross_loss, gather, reading_loss, wire
from codi_minimal.alignment.environment import CLOCK
from codi_minimal.prompts import clip_loss, mix
from tests.denoisers.test_unet import awake

WIDTH = CLOCK + 16  # of a token
TOKENS = {
    "video": torch.randn(3, 2 + 8, WIDTH),
    "text": torch.randn(3, 2, WIDTH),
    "audio": torch.randn(3, 2 + 8, WIDTH),
}


def test_others_see_each_other_and_the_clock_goes_to_those_that_have_one():
    env = wire(TOKENS)
    assert torch.equal(env["text"], torch.cat([TOKENS["audio"][:, :2], TOKENS["video"][:, :2]], dim=1))
    assert torch.equal(env["audio"], torch.cat([TOKENS["text"], TOKENS["video"]], dim=1))
    assert torch.equal(env["video"], torch.cat([TOKENS["audio"], TOKENS["text"]], dim=1))


def test_own_sees_itself_pooled_one_token_a_stream_and_off_nothing():
    assert all(torch.equal(env, TOKENS[name]) for name, env in wire(TOKENS, "own").items())
    pooled = wire(TOKENS, "pooled")
    assert pooled["text"].shape == (3, 2, WIDTH)
    said = F.normalize(TOKENS["audio"].mean(dim=1)[:, :-CLOCK], dim=-1) * WIDTH**0.5
    torch.testing.assert_close(pooled["text"][:, 0], F.pad(said, (0, CLOCK)))
    assert set(wire(TOKENS, "off").values()) == {None}


def test_a_mapping_names_whom_each_stream_sees():
    over_text = {"text": ("audio", "video"), "audio": ("text",), "video": ("text", "image")}
    env = wire(TOKENS, over_text)
    assert torch.equal(env["audio"], TOKENS["text"]) and torch.equal(env["video"], TOKENS["text"])
    assert torch.equal(env["text"], wire(TOKENS)["text"])
    assert wire(TOKENS, {"audio": ("audio",)}) == dict.fromkeys(TOKENS)  # never itself; who is not named sees none
    prompt = torch.randn(3, 2, WIDTH)
    assert torch.equal(wire(TOKENS, {}, [prompt])["text"], prompt)  # prompts are seen by all


@pytest.mark.parametrize(("wiring", "listens"), [("others", True), ("pooled", True), ("own", False), ("off", False)])
def test_a_change_of_b_reaches_a_or_does_not(wiring, listens):
    changed = wire({**TOKENS, "video": TOKENS["video"] + 1}, wiring)["audio"]
    before = wire(TOKENS, wiring)["audio"]
    assert (changed is not None and not torch.equal(changed, before)) == listens


def test_the_order_of_streams_does_not_matter():
    shuffled = {name: TOKENS[name] for name in ("audio", "text", "video")}
    for wiring in ("others", "pooled", "own"):
        for name, env in wire(shuffled, wiring).items():
            assert torch.equal(env, wire(TOKENS, wiring)[name])


def test_a_stream_alone_has_no_environment():
    assert wire({"text": TOKENS["text"]}) == {"text": None}
    with pytest.raises(ValueError, match="expected a wiring out of others, own, pooled, off, or a mapping, got 'all'"):
        wire(TOKENS, "all")


def test_l_con_compares_the_tokens_that_both_have():
    x, y = F.normalize(TOKENS["text"].flatten(1), dim=-1), F.normalize(TOKENS["video"][:, :2].flatten(1), dim=-1)
    torch.testing.assert_close(contrastive_loss(TOKENS["text"], TOKENS["video"], 5.0), clip_loss(x, y, 5.0))
    assert contrastive_loss(TOKENS["text"], TOKENS["text"], 100.0) < contrastive_loss(
        TOKENS["text"], TOKENS["text"].flip(0), 100.0
    )


def test_l_cross_gives_each_stream_its_noise_and_the_others_tokens():
    z0 = {"text": torch.randn(3, 4), "image": torch.randn(3, 5)}
    eps = {name: torch.randn_like(z) for name, z in z0.items()}
    t, cond, env = (
        torch.tensor([1, 2, 3]),
        torch.randn(3, 8),
        {"text": torch.ones(3, 1, 2), "image": torch.zeros(3, 1, 2)},
    )

    def loss(net, z, t, eps, cond, env):
        return net + z.sum() + eps.sum() + t.sum() + cond.sum() + env.sum()

    out = cross_loss(loss, {"text": 1.0, "image": 2.0}, env, z0, t, eps, cond)
    torch.testing.assert_close(out["text"], 1 + z0["text"].sum() + eps["text"].sum() + 6 + cond.sum() + 6)
    torch.testing.assert_close(out["image"], 2 + z0["image"].sum() + eps["image"].sum() + 6 + cond.sum())
    few = cross_loss(loss, {"text": 1.0, "image": 2.0}, env, z0, t, eps, cond, rows={"text": 3, "image": 1})
    torch.testing.assert_close(few["text"], out["text"])
    torch.testing.assert_close(few["image"], 2 + z0["image"][:1].sum() + eps["image"][:1].sum() + 1 + cond[:1].sum())
    with pytest.raises(ValueError, match="expected a pair"):
        cross_loss(loss, {}, env, {**z0, "audio": torch.zeros(3, 1)}, t, eps, cond)


def test_prompts_are_seen_by_every_stream_as_other_streams_are():
    given = [torch.randn(3, 2 + 8, WIDTH)]
    env = wire(TOKENS, given=given)
    assert torch.equal(env["text"][:, -2:], given[0][:, :2])
    assert torch.equal(env["audio"][:, -10:], given[0])
    assert torch.equal(wire({"text": TOKENS["text"]}, given=given)["text"], given[0][:, :2])
    assert wire(TOKENS, "pooled", given)["text"].shape == (3, 3, WIDTH)
    assert torch.equal(wire(TOKENS, "own", given)["text"], TOKENS["text"])
    assert wire(TOKENS, "off", given)["text"] is None


def test_tokens_are_gathered_up_to_what_the_stream_has_itself():
    streams = [TOKENS["video"], TOKENS["text"]]
    assert torch.equal(gather(streams, 2), torch.cat([TOKENS["video"][:, :2], TOKENS["text"]], dim=1))
    assert torch.equal(gather(streams, 10), torch.cat(streams, dim=1))
    assert gather(streams, 10, "pooled").shape == (3, 2, WIDTH)


def test_l_read_is_the_distance_to_the_mixture_of_the_prompt_and_what_the_streams_will_say():
    cond, a, b, residual = (F.normalize(torch.randn(3, 8), dim=-1) for _ in range(4))
    cond[0] = 0  # no prompt
    goal = torch.cat([mix([a, b])[:1], mix([cond, a, b])[1:]])
    expected = (cond + residual - goal).square().sum(dim=1).mean()
    seen = []

    def reader(c, env):
        seen.append((c, env))
        return residual[:, None]

    torch.testing.assert_close(reading_loss(reader, TOKENS["text"], [a, b], cond), expected)
    assert torch.equal(seen[0][0], cond[:, None]) and seen[0][1] is TOKENS["text"]


def test_a_reader_learns_to_say_what_the_tokens_stand_for():
    torch.manual_seed(0)
    reader, to_tokens = awake(EnvironmentAttention(8, WIDTH, places=1)), torch.randn(8, 2 * 16) * 2
    optimizer = torch.optim.Adam(reader.parameters(), lr=1e-2)
    prompts = F.normalize(torch.randn(64, 8), dim=-1)
    env = F.pad((prompts @ to_tokens).reshape(64, 2, 16), (0, CLOCK))
    losses = []
    for _ in range(150):
        losses.append(reading_loss(reader, env, [prompts], torch.zeros(64, 8)))
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.1 * losses[0]
