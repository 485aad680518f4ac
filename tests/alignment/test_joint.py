"""L_Cross + λ L_Con."""

import pytest
import torch
import torch.nn.functional as F

from codi_minimal.alignment import contrastive_loss, joint_loss
from codi_minimal.alignment.environment import CLOCK
from codi_minimal.prompts import clip_loss

WIDTH = CLOCK + 16  # of a token
TEXT, VIDEO = torch.randn(3, 2, WIDTH), torch.randn(3, 2 + 8, WIDTH)


def test_l_con_compares_the_tokens_that_both_have():
    x, y = F.normalize(TEXT.flatten(1), dim=-1), F.normalize(VIDEO[:, :2].flatten(1), dim=-1)
    torch.testing.assert_close(contrastive_loss(TEXT, VIDEO, 5.0), clip_loss(x, y, 5.0))
    assert contrastive_loss(TEXT, TEXT, 100.0) < contrastive_loss(TEXT, TEXT.flip(0), 100.0)


def record(net, z, t, eps, cond, env):
    """A loss that shows what it was given; each denoiser is a number."""
    return net + z.sum() + eps.sum() + t.sum() + cond.sum() + (0 if env is None else env.sum())


def test_each_stream_has_its_own_latents_noise_and_environment_and_all_have_the_same_t_and_c():
    z0 = {"text": torch.randn(3, 4), "image": torch.randn(3, 5)}
    eps = {name: torch.randn_like(z) for name, z in z0.items()}
    t, cond, l_con = torch.tensor([1, 2, 3]), torch.randn(3, 8), torch.tensor(7.0)
    env = {"text": torch.ones(3, 1, 2), "image": None}
    loss, cross = joint_loss(record, {"text": 1.0, "image": 2.0}, z0, t, eps, cond, env, l_con, 0.5)
    torch.testing.assert_close(cross["text"], 1 + z0["text"].sum() + eps["text"].sum() + 6 + cond.sum() + 6)
    torch.testing.assert_close(cross["image"], 2 + z0["image"].sum() + eps["image"].sum() + 6 + cond.sum())
    torch.testing.assert_close(loss, cross["text"] + cross["image"] + 0.5 * 7)


def test_a_stream_of_fewer_samples_takes_the_first():
    z0 = {"text": torch.randn(3, 4), "image": torch.randn(1, 5)}
    eps = {"text": torch.randn(3, 4), "image": torch.randn(3, 5)}
    t, cond, env = torch.tensor([1, 2, 3]), torch.randn(3, 8), dict.fromkeys(z0)
    _, cross = joint_loss(record, {"text": 1.0, "image": 2.0}, z0, t, eps, cond, env, torch.tensor(0.0), 0.5)
    torch.testing.assert_close(cross["image"], 2 + z0["image"].sum() + eps["image"][:1].sum() + 1 + cond[:1].sum())
    torch.testing.assert_close(cross["text"], 1 + z0["text"].sum() + eps["text"].sum() + 6 + cond.sum())


@pytest.mark.parametrize("names", [("text",), ("text", "image", "audio")])
def test_a_pair_is_two_streams(names):
    z0 = {name: torch.zeros(1, 1) for name in names}
    with pytest.raises(ValueError, match="expected a pair of streams, got"):
        joint_loss(record, z0, z0, torch.zeros(1), z0, torch.zeros(1, 1), dict.fromkeys(z0), torch.tensor(0.0), 0.5)
