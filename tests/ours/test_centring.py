"""Prompts of all modalities lie around one centre once their shifts are set."""

import torch
import torch.nn.functional as F

from codi_minimal.ours.centring import Shift
from codi_minimal.prompts import ImagePromptEncoder
from tests.models import random_codi


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
