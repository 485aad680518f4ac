"""The baseline: one stream after the other, each a prompt for those that follow."""

import copy
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from codi_minimal.ours.cascade import Cascade, prompt_of, turn
from codi_minimal.recipes import CASCADE, PAPER
from tests.models import NAMES, VIDEO, random_codi
from tests.streams import calls, given_stream, shared, stream

RECIPE = replace(PAPER, additions=(Cascade(),))
PAIR = {"outputs": ("image", "audio"), "steps": 2, "guidance": 1.0}


def heard(model, name: str, *args, **settings) -> list[tuple]:
    """C and the environment of every call of a denoiser."""
    seen = []
    handle = model.modalities[name].denoiser.register_forward_hook(lambda _m, args, _o: seen.append(args[2:4]))
    model.generate(*args, **settings)
    handle.remove()
    return seen


def test_the_cascade_is_one_call_after_the_other():
    """The second output is that of a call with the first one as a prompt, and no stream under way is seen."""
    model, recipe = random_codi(), replace(CASCADE, steps=3)
    together = model.generate({"text": "seven"}, ("image", "audio"), recipe=recipe)
    image = model.generate({"text": "seven"}, ("image",), recipe=recipe)["image"]
    audio = model.generate({"text": "seven", "image": image}, ("audio",), recipe=recipe)["audio"]
    torch.testing.assert_close(together["image"], image, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(together["audio"], audio, rtol=1e-3, atol=1e-3)
    alone = model.generate({"text": "seven"}, ("audio",), recipe=recipe)["audio"]
    assert (together["audio"] - alone).abs().max() > 1e-3


def test_the_smallest_latent_comes_first_and_v_reads_finished_streams_alone():
    streams = {name: stream(name, 2) for name in NAMES[::-1]}
    seen = calls(streams, lambda: Cascade().loop(shared(RECIPE), streams))
    nets = [name for what, name, _ in seen if what == "net"]
    assert nets == ["text"] * 2 + ["image"] * 2 + ["audio"] * 2 + ["video"] * 2
    assert {t for what, _, t in seen if what == "V"} == {0}


def test_of_latents_of_one_size_the_name_decides():
    streams = [SimpleNamespace(modality=SimpleNamespace(name=name), z=torch.zeros(2, 3)) for name in "bca"]
    assert [s.modality.name for s in sorted(streams, key=turn)] == ["a", "b", "c"]


def test_errors_of_a_prompt_encoder_other_than_refusals_are_not_hidden(monkeypatch):
    def broken(*_):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(type(random_codi()), "encode_prompt", broken)
    with pytest.raises(RuntimeError, match="out of memory"):
        prompt_of(shared(RECIPE), stream("text"))


def test_all_finished_streams_and_the_prompts_of_the_call_count_the_same():
    model, settings = random_codi(), {"outputs": NAMES, "steps": 1, "guidance": 1.0}
    made = model.generate({"text": "seven"}, **settings, recipe=RECIPE)
    assert made["text"] != ["seven"]
    c = [model.encode_prompt("text", "seven"), *(model.encode_prompt(name, made[name]) for name in NAMES[:3])]
    ((cond, env),) = heard(model, "video", {"text": "seven"}, **settings, recipe=RECIPE)
    torch.testing.assert_close(cond, F.normalize(sum(c), dim=-1), rtol=1e-3, atol=1e-4)
    z = model.generate_latents({"text": "seven"}, **settings, recipe=RECIPE)
    clocks = torch.cat([model.modalities[name].environment.clock_tokens(z[name]) for name in NAMES[:3]], dim=1)
    torch.testing.assert_close(env.tokens, clocks, rtol=1e-3, atol=1e-4)  # of its tokens the clock alone


def test_apart_there_is_no_cascade():
    model = random_codi()
    text = model.encode_prompt("text", "seven")
    for cond, env in heard(model, "audio", {"text": "seven"}, **PAIR, recipe=RECIPE, joint=False):
        torch.testing.assert_close(cond, text)
        assert env is None


def test_what_cannot_be_a_prompt_adds_nothing(monkeypatch):
    model = copy.deepcopy(random_codi())
    captions = ["seven", "", "six " * 13]
    monkeypatch.setattr(model.modalities["text"].autoencoder, "decode", lambda z: captions)
    pair = {"outputs": ("text", "image"), "num_samples": 3, "steps": 1, "guidance": 1.0, "recipe": RECIPE}
    ((cond, _),) = heard(model, "image", {}, **pair)
    torch.testing.assert_close(cond[:1], model.encode_prompt("text", "seven"))
    assert not cond[1:].any()


@pytest.mark.parametrize("name", ["text", "audio"])
def test_a_given_stream_comes_first_and_is_read_itself(name):
    one = given_stream(name)
    torch.testing.assert_close(prompt_of(shared(RECIPE), one), random_codi().encode_prompt(name, one.x))
    settings = {"outputs": ("image",), "steps": 2, "guidance": 1.0, "recipe": RECIPE}
    for cond, env in heard(random_codi(), "image", {}, given={"video": VIDEO}, **settings):
        torch.testing.assert_close(cond, random_codi().encode_prompt("video", VIDEO), rtol=1e-4, atol=1e-5)
        assert env.tokens.shape[1] == random_codi().modalities["video"].environment.clock
