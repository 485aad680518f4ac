"""Streams one by one: where they are in time, when they step, and what they say."""

import pytest
import torch

from codi_minimal.diffusion import make_sampler
from codi_minimal.side_by_side import Stream, denoise
from tests.models import random_codi


def stream(name: str = "image", steps: int = 4, sampler: str = "ddim", seed: int = 0) -> Stream:
    model = random_codi()
    m = model.modalities[name]
    generator = torch.Generator().manual_seed(seed)
    return Stream(m, m.noise(2, generator), m.denoiser, make_sampler(sampler, model.schedule, steps), [generator] * 2)


def test_a_stream_goes_through_its_timesteps_and_is_then_at_zero():
    one = stream(steps=2)
    seen = []
    for _ in range(2):
        seen.append(one.t)
        one.step(None, None)
    assert [*seen, one.t] == [999, 499, 0]
    assert one.times().tolist() == [0, 0]


def test_it_says_nothing_before_its_first_step():
    one = stream()
    assert not one.tokens().any()
    one.step(None, None)
    assert torch.equal(one.tokens(), one.modality.environment(one.z, torch.tensor([749, 749])))
    one.step(None, None)  # and then something else
    assert torch.equal(one.tokens(), one.modality.environment(one.z, torch.tensor([499, 499])))


def test_with_fewer_steps_it_rests_now_and_then():
    one, at = stream(steps=2), []
    for tick in range(-1, 8):
        if one.due(tick, ticks=4):
            at.append(tick)
            one.step(None, None)
    assert at == [1, 3]


def test_stochastic_samplers_draw_from_its_own_generator():
    one, same, other = (stream(sampler="ddpm", seed=seed) for seed in (0, 0, 1))
    other.z = one.z
    for each in (one, same, other):
        each.step(None, None)
    assert torch.equal(one.z, same.z) and not torch.equal(one.z, other.z)


def watched(part: str, streams: dict[str, Stream], **how) -> list[tuple[str, int]]:
    """(stream, t) of every call of this part of its modality while all streams are denoised."""
    calls, handles = [], []
    for name, s in streams.items():

        def look(_m, args, _o, name=name):
            calls.append((name, int(args[1][0])))

        handles.append(getattr(s.modality, part).register_forward_hook(look))
    denoise(streams, None, **how)
    for handle in handles:
        handle.remove()
    assert all(s.t == 0 and s.z.isfinite().all() for s in streams.values())
    return calls


def three() -> dict[str, Stream]:
    return {name: stream(name, steps) for name, steps in (("video", 2), ("text", 3), ("image", 3))}


def test_all_arrive_the_smallest_first():
    text, image = ([(name, t) for t in (999, 666, 332)] for name in ("text", "image"))
    video = [("video", 999), ("video", 499)]
    assert watched("denoiser", three(), stagger=1.0) == [*text, *image, *video]
    assert set(watched("denoiser", three(), stagger=0.0)) == {*text, *image, *video}


def test_only_what_is_heard_is_encoded_and_only_once():
    assert watched("environment", three(), stagger=1.0) == [("text", 0), ("image", 0)]
    assert watched("environment", {"image": stream()}) == []
    at_once = watched("environment", three(), stagger=0.0)
    assert sorted(set(at_once)) == sorted(at_once) and ("image", 666) in at_once
    own = watched("environment", {"image": stream(steps=2)}, wiring="own")
    assert own == [("image", 499)]


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
def test_a_stream_has_arrived_when_all_its_steps_are_taken_though_several_are_at_zero(sampler):
    streams = {name: stream(name, steps=1000, sampler=sampler) for name in ("image", "audio")}
    for each in streams.values():
        each.taken = 996
    assert [*streams["image"].sampler.timesteps[-2:]] == [1, 0]  # before the last step t is 0 already
    at = []

    def as_prompt(one):
        at.append(one.taken)
        return torch.zeros(2, random_codi().config.model.d), one.modality.clock(one.z)

    denoise(streams, None, stagger=0.002, as_prompt=as_prompt)  # who comes last has nobody to tell
    assert at == [1000]


def test_without_a_bar_no_thread_of_its_own_is_started(monkeypatch):
    monkeypatch.setattr("codi_minimal.side_by_side.tqdm", lambda *a, **k: pytest.fail("tqdm starts a thread"))
    random_codi().generate(outputs=("text",), steps=1)
