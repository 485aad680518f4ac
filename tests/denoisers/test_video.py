"""Latent shift, temporal attention, and the start from the image denoiser."""

import pytest
import torch
import torch.nn.functional as F
from einops import rearrange, repeat

from codi_minimal.denoisers import UNet, VideoUNet, latent_shift
from codi_minimal.denoisers.blocks import TransformerBlock
from codi_minimal.denoisers.video import FrameEmbedding
from tests.denoisers.test_unet import SIZES, awake


def test_latent_shift_by_its_definition():
    x = torch.arange(2 * 5 * 8 * 1 * 1.0).reshape(2, 5, 8, 1, 1) + 1
    y = latent_shift(x, chunks=4)
    for tau in range(5):
        for channel in range(8):
            i = channel // 2
            expected = x[:, tau - i, channel] if tau >= i else torch.zeros(2, 1, 1)
            assert torch.equal(y[:, tau, channel], expected)


def test_a_frame_learns_of_the_past_by_the_shift_and_of_no_future():
    x = torch.randn(1, 8, 16, 2, 2)
    changed = x.clone()
    changed[:, 4] += 1
    differs = (latent_shift(changed) != latent_shift(x)).flatten(2).any(dim=2)[0]
    assert differs.tolist() == [False] * 4 + [True] * 4


def test_a_still_is_to_it_what_it_is_to_the_image_unet_it_starts_from():
    image, video = awake(UNet((4, 8, 8), **SIZES)), VideoUNet((8, 4, 8, 8), **SIZES)
    video.start_from(image)
    z, t, cond = torch.randn(2, 4, 8, 8), torch.tensor([3, 700]), F.normalize(torch.randn(2, 8), dim=-1)
    still = repeat(z, "b c h w -> b f c h w", f=8)
    frames = repeat(image(z, t, cond), "b c h w -> b f c h w", f=8)
    torch.testing.assert_close(video(still, t, cond), frames, rtol=1e-4, atol=1e-5)


def test_the_places_of_all_frames_attend_to_each_other():
    block = awake(TransformerBlock(32, 16)).eval()
    x, context = torch.randn(2 * 3, 32, 4, 4), torch.randn(2 * 3, 5, 16)
    block.frames = 3
    changed = x.clone()
    changed[1, :, 0, 0] *= -1  # clip 0, frame 1, one place
    moved = (block(changed, context, None) - block(x, context, None)).abs().amax(dim=1)
    assert moved[:3].min() > 1e-7 and moved[3:].max() == 0  # all of clip 0, nothing of clip 1


def test_once_trained_every_frame_depends_on_every_other():
    video = awake(VideoUNet((8, 4, 8, 8), **SIZES)).eval()
    z, t = torch.randn(1, 8, 4, 8, 8), torch.tensor([500])
    changed = z.clone()
    changed[:, 3] += 1
    moved = (video(changed, t) - video(z, t)).abs().flatten(2).amax(dim=2)[0]
    assert moved.min() > 1e-6


def test_it_starts_only_from_an_image_unet_of_its_sizes():
    with pytest.raises(ValueError, match="same sizes"):
        VideoUNet((8, 4, 8, 8), **SIZES).start_from(UNet((4, 8, 8), **{**SIZES, "widths": (32, 64)}))
    with pytest.raises(ValueError, match="divisible by 8"):
        latent_shift(torch.zeros(1, 8, 12, 2, 2))


def test_the_embedding_of_a_frame_is_of_the_condition_and_the_frame_together():
    torch.manual_seed(0)
    embed, emb = FrameEmbedding(8, frames=3), torch.randn(2, 8)
    assert torch.equal(embed(emb), emb.repeat_interleave(3, dim=0))
    awake(embed)
    out = embed(emb)
    for b in range(2):
        for f in range(3):
            x = embed.project(emb[b]) + embed.frame[f]
            torch.testing.assert_close(out[3 * b + f], emb[b] + embed.out(F.silu(x)))
    of_frame = rearrange(out, "(b f) e -> b f e", f=3) - emb[:, None]
    assert (of_frame[0] - of_frame[1]).std(dim=0).min() > 1e-3  # no sum of one term for b and one for f


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_a_clip_may_have_fewer_frames_than_chunks(frames):
    x = torch.randn(1, frames, 8, 2, 2)
    y = latent_shift(x, chunks=8)
    assert y.shape == x.shape and not y[:, :, frames:].any()
    assert torch.equal(y[:, frames - 1, frames - 1], x[:, 0, frames - 1])
