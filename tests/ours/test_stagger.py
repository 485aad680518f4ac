"""Streams that start one after the other, the smallest first."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from codi_minimal.alignment import Environment
from codi_minimal.ours.stagger import Stagger, is_due
from codi_minimal.recipe import Addition
from codi_minimal.recipes import PAPER, SHIPPED
from codi_minimal.sample import joint_sample
from tests.models import random_codi
from tests.streams import calls, given_stream, shared, stream


class Finished(Addition):
    """Records which stream is finished, after how many steps, and makes a prompt of it."""

    def __init__(self, c: float | None = None):
        self.seen, self.c = [], c

    def finished(self, joint, stream):
        self.seen.append((stream.modality.name, stream.taken))
        if self.c is None:
            return None
        return torch.full((2, joint.model.config.model.d), self.c), stream.modality.environment.clock_tokens(stream.z)


def three():
    return {name: stream(name, steps) for name, steps in (("video", 2), ("text", 3), ("image", 3))}


def watched(what: str, streams, share: float, *more: Addition, **changes) -> list[tuple[str, int]]:
    """(stream, t) of every V ("V") or denoiser ("net") while the streams are denoised."""
    joint = shared(replace(PAPER, additions=(Stagger(share), *more)), **changes)
    made = calls(streams, lambda: torch.no_grad()(Stagger(share).loop)(joint, streams))
    assert all(s.done and s.z.isfinite().all() for s in streams.values())
    return [(name, t) for kind, name, t in made if kind == what]


def test_streams_finish_one_after_the_other_the_smallest_first():
    text, image = ([(name, t) for t in (999, 666, 332)] for name in ("text", "image"))
    video = [("video", 999), ("video", 499)]
    assert watched("net", three(), 1.0) == [*text, *image, *video]
    assert set(watched("net", three(), 0.0)) == {*text, *image, *video}


def test_each_starts_a_share_of_the_way_later_than_the_one_before():
    def order(share):
        streams = {name: stream(name) for name in ("image", "text")}
        return "".join(name[0] for name, _ in watched("net", streams, share))

    assert [order(share) for share in (0.0, 0.5, 1.0)] == ["itititit", "ttititii", "ttttiiii"]


def test_generate_takes_its_place_of_the_papers_loop_and_without_it_the_paper_s_is_back(monkeypatch):
    ran = []
    monkeypatch.setattr("codi_minimal.sample.joint_sample", lambda *_: ran.append("paper"))
    monkeypatch.setattr(Stagger, "loop", lambda self, *_: ran.append(self.share) or True)
    for recipe in (SHIPPED, SHIPPED.without("stagger")):
        random_codi().generate_latents({}, ("image", "audio"), steps=1, recipe=recipe)
    assert ran == [0.85, "paper"]


def test_all_at_once_it_is_the_papers_loop_but_for_the_first_step():
    """A stream without a step behind it has no tokens here; the paper's loop encodes pure noise."""
    streams, same = ({name: stream(name, 3) for name in ("image", "audio")} for _ in range(2))
    watched("net", streams, 0.0)
    for s in same.values():
        s.step(None, Environment.of([s.tokens()[:, :0]]))
    for i, t in enumerate((666, 332), start=1):
        v = {name: s.modality.environment(s.z, torch.full((2,), t)) for name, s in same.items()}
        for name, other in (("image", "audio"), ("audio", "image")):
            assert same[name].taken == i
            same[name].step(None, Environment.of([v[other]]))
    for name, s in streams.items():
        torch.testing.assert_close(s.z, same[name].z, rtol=1e-4, atol=1e-5)
    plain = {name: stream(name, 3) for name in ("image", "audio")}
    joint_sample(shared(), plain)
    assert not torch.equal(plain["image"].z, streams["image"].z)


def test_with_fewer_steps_a_stream_rests_now_and_then():
    one, at = stream(steps=2), []
    for tick in range(-1, 8):
        if is_due(one, tick, ticks=4):
            at.append(tick)
            one.step(None, None)
    assert at == [1, 3]


def test_only_what_is_seen_is_encoded_and_only_once():
    assert watched("V", three(), 1.0) == [("text", 0), ("image", 0)]
    assert watched("V", {"image": stream()}, 0.5) == []
    at_once = watched("V", three(), 0.0)
    assert sorted(set(at_once)) == sorted(at_once) and ("image", 666) in at_once
    assert watched("V", {"image": stream(steps=2)}, 0.5, wiring="own") == [("image", 499)]


def test_a_stream_that_has_not_started_is_absent():
    noise = torch.randn(1, 8, 8, 8)
    settings = {"outputs": ("image", "audio"), "steps": 3, "recipe": replace(PAPER, additions=(Stagger(1.0),))}
    early, again = (random_codi().generate_latents(**settings, noise=n)["image"] for n in (None, {"audio": noise}))
    assert torch.equal(early, again)  # the image is done before the audio takes a step


def test_a_finished_stream_stays_a_stream_at_time_zero():
    streams = {name: stream(name, 2) for name in ("image", "text")}
    assert watched("V", streams, 1.0) == [("text", 0)]  # none is seen before, and it does not change any more


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
def test_a_stream_is_finished_when_all_its_steps_are_taken_though_several_are_at_zero(sampler):
    streams = {name: stream(name, steps=1000, sampler=sampler) for name in ("image", "audio")}
    for each in streams.values():
        each.taken = 996
    assert [*streams["image"].sampler.timesteps[-2:]] == [1, 0]  # before the last step t is 0 already
    record = Finished(0.0)
    watched("net", streams, 0.002, record)
    assert record.seen == [("image", 1000)]  # the last has no others that it could be a prompt for


def test_a_finished_stream_is_made_a_prompt_once_by_the_first_addition_that_does():
    first, second, third = Finished(), Finished(1.0), Finished(2.0)
    watched("net", three(), 1.0, first, second, third)
    assert first.seen == second.seen == [("text", 3), ("image", 3)] and third.seen == []


def test_prompts_of_finished_streams_join_the_condition_and_their_tokens_the_environment():
    streams = {name: stream(name, 1) for name in ("text", "image", "audio")}
    d = random_codi().config.model.d
    c, given = F.normalize(torch.randn(2, d), dim=-1), []
    for name, s in streams.items():
        s.net = lambda z, t, cond, env, name=name: given.append((name, cond, env)) or torch.zeros_like(z)
    joint = shared(replace(PAPER, additions=(Finished(1.0),)))
    joint.cond = c
    torch.no_grad()(Stagger(1.0).loop)(joint, streams)
    once = F.normalize(c + 1, dim=-1)
    assert [name for name, *_ in given] == ["text", "image", "audio"]
    for (_, cond, _), expected in zip(given, (c, once, F.normalize(once + 1, dim=-1)), strict=True):
        torch.testing.assert_close(cond, expected)
    clocks = [streams[name].modality.environment.clock_tokens(streams[name].z) for name in ("image", "text")]
    torch.testing.assert_close(given[2][2].tokens, torch.cat(clocks, dim=1))  # audio sees both, in the order of names


def test_a_given_stream_takes_no_step_and_delays_no_other():
    pair, same = ({name: stream(name) for name in ("audio", "text")} for _ in range(2))
    beside = pair | {"image": given_stream("image")}  # whose size is between theirs
    assert watched("net", beside, 0.5) == watched("net", same, 0.5)


def test_a_given_stream_is_seen_at_time_zero_from_the_first_step_on():
    streams, seen = {"image": stream(steps=2), "video": given_stream("video", steps=2)}, []
    assert not streams["video"].done
    z0 = streams["video"].z0
    streams["image"].net = lambda z, t, cond, env: seen.append(env) or torch.zeros_like(z)
    torch.no_grad()(Stagger(1.0).loop)(shared(), streams)
    expected = streams["video"].modality.environment(z0, torch.zeros(2, dtype=torch.long))
    assert len(seen) == 2
    for env in seen:
        torch.testing.assert_close(env.tokens, expected)
    assert watched("V", {"image": stream(), "video": given_stream("video")}, 1.0) == [("video", 0)]


def test_a_given_stream_is_finished_before_the_first_step_of_others():
    streams = {name: stream(name, 2) for name in ("text", "image")} | {"video": given_stream("video", steps=2)}
    record, conditions = Finished(1.0), []
    for name in ("text", "image"):
        streams[name].net = lambda z, t, cond, env: conditions.append(cond) or torch.zeros_like(z)
    torch.no_grad()(Stagger(1.0).loop)(shared(replace(PAPER, additions=(record,))), streams)
    assert record.seen == [("video", 2), ("text", 2)]  # though it is the largest
    assert len(conditions) == 4 and all(cond is not None for cond in conditions)


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan"), None, "1"])
def test_its_share_is_a_number_from_0_to_1(share):
    with pytest.raises(ValueError, match="Stagger.share: "):
        Stagger(share=share)
