"""A request is shown while it is generated."""

import threading
import warnings
from dataclasses import replace

import pytest
import torch

from codi_minimal.inputs import PromptWarning
from codi_minimal.play import watch
from codi_minimal.play.notes import notes
from codi_minimal.play.request import Brought, Request
from codi_minimal.play.watch import LOOKS, THREE_WAYS, Look, compare, generate, steps_of, watched
from tests.models import VIDEO, random_codi

ALL = ("text", "image", "audio", "video")


@pytest.mark.parametrize(
    "request_",
    [
        Request((), ALL),
        Request((), ALL, recipe="cascade"),
        Request((), ("text", "image"), joint=False),
        Request((), ("image",)),
        Request((), ("text", "video"), steps=7),
        Request([Brought("video", VIDEO, "given")], ("text",)),
    ],
)
def test_it_knows_how_many_steps_there_will_be(request_):
    taken = []
    random_codi().generate_latents(**request_.arguments(), progress=lambda streams: taken.append(list(streams)))
    assert steps_of(random_codi(), request_) == len(taken)


def test_what_is_seen_last_is_the_result():
    request = Request((), ("text", "image"), steps=20)
    updates = list(watched(random_codi(), request))
    shares = [look.done for look in updates]
    assert shares == sorted(shares) and shares[-1] == 1 and len(updates) == LOOKS + 1
    assert all(look.sample is None for look in updates[:-1]) and set(updates[-1].cards) == {"text", "image"}
    made, last = random_codi().generate(**request.arguments()), updates[-1].sample
    assert last["text"] == made["text"][0] and torch.equal(last["image"], made["image"][0])
    assert len({look.cards["image"] for look in updates}) > 3  # it changes


def test_a_held_stream_is_not_shown_as_an_output():
    request = Request([Brought("video", VIDEO, "given")], ("text",), steps=2)
    assert all(set(look.cards) == {"text"} for look in watched(random_codi(), request))


def test_all_looks_are_kept_for_the_replay_and_the_last_has_the_archive():
    *before, (shown, looks, problem) = generate(random_codi(), Request((), ("text",), steps=4))
    assert problem == "" and looks[-1] == shown and len(looks) == len(before) + 1
    assert "application/zip" in shown and not any("application/zip" in look for look in looks[:-1])
    assert "<progress" in looks[0] and "<progress" not in shown


def test_an_error_is_shown_beside_what_there_is(monkeypatch):
    (only,) = generate(random_codi(), Request())
    assert only[0] == "" and "outputs: expected one or more" in only[2]

    def fails(streams):
        raise FloatingPointError("nan")

    monkeypatch.setattr(watch, "preview", fails)
    assert list(generate(random_codi(), Request((), ("text",), steps=3)))[-1][2] == "⚠ nan"


def test_three_ways_start_from_the_same_noise_and_differ_in_nothing_else(monkeypatch):
    asked = []

    def remember(model, request):
        asked.append(request)
        yield Look(1.0, {"text": "x"}, {"text": "x"})

    monkeypatch.setattr(watch, "watched", remember)
    request = Request([Brought("text", "a seven"), Brought("video", VIDEO, "given")], ("text",), seed=5)
    *_, (shown, looks, problem) = compare(random_codi(), request)
    assert [r.seed for r in asked] == [5] * 3 and problem == "" and len(looks) == 3
    assert all(f"<h3>{title}</h3>" in shown for title in THREE_WAYS)
    together, cascade, alone = asked
    assert (together.joint, cascade.recipe, alone.joint) == (True, "cascade", False)
    assert replace(cascade, recipe=request.recipe) == request == together
    assert [thing.role for thing in alone.brought] == ["prompt"]


def test_a_run_that_nobody_looks_at_any_more_ends(monkeypatch):
    before, seen = threading.active_count(), []
    monkeypatch.setattr(watch, "preview", lambda streams: seen.append(1) or {})
    run = watched(random_codi(), Request((), ("text",), steps=500))
    next(run)
    assert threading.active_count() == before + 1
    run.close()
    assert threading.active_count() == before and len(seen) < LOOKS


@pytest.mark.filterwarnings("always::codi_minimal.inputs.PromptWarning")
def test_warnings_are_those_of_the_request_alone():
    asked = Request([Brought("text", "a wooden seven")], ("image",), steps=1)
    with notes() as told:  # of this thread
        *_, (_, _, problem) = generate(random_codi(), asked)
        warnings.warn(PromptWarning("mine"), stacklevel=1)
    assert problem == "⚠ text: ignored 'wooden'" and told == ["mine"]
    *_, (_, _, problem) = generate(random_codi(), asked)
    assert problem == "⚠ text: ignored 'wooden'"
