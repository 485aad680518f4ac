"""Prompts of all modalities lie around one centre once their shifts are set."""

import copy

import pytest
import torch
import torch.nn.functional as F

from codi_minimal.ours.centring import Centring, Shift
from codi_minimal.prompts import ImagePromptEncoder
from tests.models import AUDIO, IMAGE, random_codi


def test_a_shift_moves_the_centre_of_one_cloud_onto_anothers():
    torch.manual_seed(0)
    encoder, shift = ImagePromptEncoder(d=16, width=8).eval(), Shift(16)
    pictures = torch.rand(32, 3, 32, 32)
    text = F.normalize(torch.randn(32, 16) + 2 * torch.eye(16)[0], dim=-1)  # a cone around the first axis
    with torch.no_grad():
        raw = encoder(pictures)
        encoder.register_forward_hook(shift)
        assert torch.allclose(encoder(pictures), raw, atol=1e-6)
        shift.shift.copy_(text.mean(dim=0) - raw.mean(dim=0))
        moved = encoder(pictures)
    torch.testing.assert_close(moved, F.normalize(raw + shift.shift, dim=-1))
    centre = text.mean(dim=0)
    assert (moved.mean(dim=0) - centre).norm() < (raw.mean(dim=0) - centre).norm() / 2


def test_bridging_sets_the_shift_of_one_modality_from_own_prompts_to_those_of_text():
    model = random_codi()
    addition = next(a for a in model.recipe.additions if type(a).__name__ == "Centring")
    own, text = torch.ones(3, model.config.model.d), torch.full((2, model.config.model.d), 5.0)
    state = {name: tensor.clone() for name, tensor in model.additions["centring"].state_dict().items()}
    try:
        addition.after_bridging(model, "image", own, text, None)
        assert model.additions["centring"]["image"].shift.eq(4).all()
        assert not model.additions["centring"]["audio"].shift.any()
    finally:
        model.additions["centring"].load_state_dict(state)


def test_attached_twice_it_keeps_its_shifts_and_moves_prompts_once():
    model = copy.deepcopy(random_codi())
    model.additions["centring"]["audio"].shift.fill_(0.1)
    before = model.encode_prompt("audio", AUDIO)
    Centring().attach(model)
    assert torch.equal(model.encode_prompt("audio", AUDIO), before)


def test_an_encoder_that_was_put_in_the_place_of_another_is_attached_or_refused():
    model = copy.deepcopy(random_codi())
    encoder = ImagePromptEncoder(model.config.model.d, model.config.model.prompt_width).eval()
    raw = encoder(IMAGE[None]).detach()
    model.modalities["image"].prompt = encoder
    model.additions["centring"]["image"].shift.fill_(0.1)
    with pytest.raises(ValueError, match="expected a prompt encoder of image that is centred, got one that was put"):
        model.generate_latents({"image": IMAGE}, steps=1)
    Centring().attach(model)
    torch.testing.assert_close(model.encode_prompt("image", IMAGE), F.normalize(raw + 0.1, dim=-1))
    encoder = ImagePromptEncoder(model.config.model.d, model.config.model.prompt_width).eval()
    model.modalities["image"].prompt = encoder
    Centring().before_bridging(model, "image")  # which measures the shift anew
    assert not model.additions["centring"]["image"].shift.any()
    assert model.additions["centring"]["image"].moves(encoder)
