"""L_Cross + λ L_Con."""

import pytest
import torch
import torch.nn.functional as F

from codi_minimal.alignment import contrastive_loss, joint_loss
from codi_minimal.alignment.environment import CLOCK, Environment
from codi_minimal.prompts import clip_loss

WIDTH = CLOCK + 16  # of a token
TEXT, VIDEO = torch.randn(3, 2, WIDTH), torch.randn(3, 2 + 8, WIDTH)


def test_l_con_compares_the_tokens_that_both_have():
    x, y = F.normalize(TEXT.flatten(1), dim=-1), F.normalize(VIDEO[:, :2].flatten(1), dim=-1)
    torch.testing.assert_close(contrastive_loss(TEXT, VIDEO, 5.0), clip_loss(x, y, 5.0))
    assert contrastive_loss(TEXT, TEXT, 100.0) < contrastive_loss(TEXT, TEXT.flip(0), 100.0)


def record(net, z, t, eps, cond, env):
    """A loss that shows what it was given; each denoiser is a number."""
    return net + z.sum() + eps.sum() + t.sum() + cond.sum() + (0 if env is None else env.tokens.sum())


B, NETS = 3, {"text": 1.0, "image": 2.0}
Z0 = {"text": torch.randn(B, 4), "image": torch.randn(B, 5)}
EPS = {name: torch.randn_like(z) for name, z in Z0.items()}
T, C, TOKENS = torch.tensor([1, 2, 3]), torch.randn(B, 8), {"text": TEXT, "image": VIDEO[:, :3]}
SCALE = torch.tensor(5.0)


def test_each_stream_has_its_own_latents_and_noise_and_the_tokens_of_the_other_and_all_have_the_same_t_and_c():
    loss, cross, con = joint_loss(record, NETS, Z0, T, EPS, C, TOKENS, SCALE, 0.5)
    for name, other in (("text", "image"), ("image", "text")):
        expected = NETS[name] + Z0[name].sum() + EPS[name].sum() + 6 + C.sum() + TOKENS[other].sum()
        torch.testing.assert_close(cross[name], expected)
    torch.testing.assert_close(con, contrastive_loss(TEXT, VIDEO[:, :3], SCALE))
    torch.testing.assert_close(loss, cross["text"] + cross["image"] + 0.5 * con)


def test_the_environment_and_the_tokens_that_are_compared_can_be_others_than_the_streams():
    env = {"text": Environment.of([torch.ones(B, 1, WIDTH)]), "image": None}
    compared, positives = {"text": TEXT.flip(0), "image": VIDEO}, torch.ones(B, B, dtype=torch.bool)
    _, cross, con = joint_loss(record, NETS, Z0, T, EPS, C, TOKENS, SCALE, 0.5, positives, env, compared)
    torch.testing.assert_close(cross["text"], 1 + Z0["text"].sum() + EPS["text"].sum() + 6 + C.sum() + B * WIDTH)
    torch.testing.assert_close(cross["image"], 2 + Z0["image"].sum() + EPS["image"].sum() + 6 + C.sum())
    torch.testing.assert_close(con, contrastive_loss(TEXT.flip(0), VIDEO, SCALE, positives))


def test_a_stream_of_fewer_samples_takes_the_first():
    z0 = Z0 | {"image": Z0["image"][:1]}
    _, cross, _ = joint_loss(record, NETS, z0, T, EPS, C, TOKENS, SCALE, 0.5)
    expected = 2 + z0["image"].sum() + EPS["image"][:1].sum() + 1 + C[:1].sum() + TEXT[:1].sum()
    torch.testing.assert_close(cross["image"], expected)
    text = 1 + Z0["text"].sum() + EPS["text"].sum() + 6 + C.sum() + TOKENS["image"].sum()
    torch.testing.assert_close(cross["text"], text)


@pytest.mark.parametrize("names", [("text",), ("text", "image", "audio")])
def test_a_pair_is_two_streams(names):
    z0 = {name: torch.zeros(1, 1) for name in names}
    with pytest.raises(ValueError, match="expected a pair of streams, got"):
        joint_loss(record, z0, z0, torch.zeros(1), z0, torch.zeros(1, 1), dict.fromkeys(z0), SCALE, 0.5)
