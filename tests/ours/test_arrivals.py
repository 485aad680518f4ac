"""A stream that is finished before others becomes a prompt for them."""

import copy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from codi_minimal.ours.arrivals import Arrivals
from codi_minimal.ours.stagger import Stagger
from codi_minimal.recipes import PAPER
from tests.models import random_codi
from tests.streams import given_stream, shared, stream

PAIR = {"outputs": ("image", "audio"), "steps": 2, "guidance": 1.0}
RECIPE = replace(PAPER, additions=(Stagger(1.0), Arrivals()))


def conditions(model, name: str, *args, **settings) -> list[torch.Tensor]:
    """C of every call of a denoiser."""
    seen = []
    handle = model.modalities[name].denoiser.register_forward_hook(lambda _m, args, _o: seen.append(args[2]))
    model.generate(*args, **settings)
    handle.remove()
    return seen


@pytest.mark.parametrize("wiring", ["others", "off"])
def test_a_finished_stream_is_half_of_the_condition_of_those_under_way(wiring):
    model, recipe = random_codi(), replace(RECIPE, wiring=wiring)
    image = model.generate({"text": "seven"}, **PAIR, recipe=recipe)["image"]
    text, of_image = (model.encode_prompt(name, x) for name, x in (("text", "seven"), ("image", image)))
    seen = conditions(model, "audio", {"text": "seven"}, **PAIR, recipe=recipe)
    for cond in seen:
        torch.testing.assert_close(cond, F.normalize(text + of_image, dim=-1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("recipe", "joint"),
    [
        (RECIPE.without("arrivals"), True),
        (replace(PAPER, additions=(Stagger(0.0), Arrivals())), True),  # both are finished at once
        (replace(RECIPE, wiring="pooled"), True),
        (replace(RECIPE, wiring="own"), True),
        (replace(RECIPE, wiring={"audio": ("image",)}), True),
        (PAPER, True),
        (RECIPE, False),
    ],
)
def test_otherwise_the_condition_is_that_of_the_prompts_alone(recipe, joint):
    model = random_codi()
    seen = conditions(model, "audio", {"text": "seven"}, **PAIR, recipe=recipe, joint=joint)
    text = model.encode_prompt("text", "seven")
    assert len(seen) == 2
    for cond in seen:
        torch.testing.assert_close(cond, text)


def test_what_cannot_be_a_prompt_adds_nothing(monkeypatch):
    model = copy.deepcopy(random_codi())
    captions = ["seven", "", "six " * 13]
    monkeypatch.setattr(model.modalities["text"].autoencoder, "decode", lambda z: captions)
    pair = {"outputs": ("text", "image"), "num_samples": 3, "steps": 1, "guidance": 1.0, "recipe": RECIPE}
    (cond,) = conditions(model, "image", {}, **pair)
    torch.testing.assert_close(cond[:1], model.encode_prompt("text", "seven"))
    assert not cond[1:].any()


def test_of_its_tokens_only_the_clock_stays():
    audio = stream("audio", 1)
    audio.step(None, None)
    c, tokens = Arrivals().finished(shared(RECIPE), audio)
    v, t = audio.modality.environment, torch.zeros(2, dtype=torch.long)
    assert torch.equal(tokens, v(audio.z, t)[:, v.summary :]) and tokens.shape[1] == v.clock > 0
    made = audio.modality.autoencoder.decode(audio.z)
    torch.testing.assert_close(c, random_codi().encode_prompt("audio", made))


@pytest.mark.parametrize("name", ["text", "audio"])
def test_a_given_stream_is_read_itself_and_not_what_its_latent_decodes_to(name):
    one = given_stream(name, held=True)
    c, tokens = Arrivals().finished(shared(RECIPE), one)
    torch.testing.assert_close(c, random_codi().encode_prompt(name, one.x))
    assert torch.equal(tokens, one.modality.environment.clock_tokens(one.z0))


def test_a_finished_stream_is_read_as_the_recipe_reads_prompts():
    model, projected = random_codi(), []

    class Negated(Arrivals):
        def prompt(self, model, c):
            projected.append(c)
            return -c

    image = stream("image", 1)
    image.step(None, None)
    with torch.no_grad():
        c, _ = Arrivals().finished(shared(replace(RECIPE, additions=(Negated(),))), image)
    assert len(projected) == 1 and torch.equal(c, -projected[0])
    torch.testing.assert_close(projected[0], model.encode_prompt("image", image.modality.autoencoder.decode(image.z)))
