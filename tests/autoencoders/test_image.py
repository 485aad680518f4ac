"""The image VAE and its contract, and video frame by frame."""

import pytest
import torch

from codi_minimal.autoencoders.base import kl_divergence
from codi_minimal.autoencoders.image import ImageVAE
from codi_minimal.autoencoders.video import VideoAutoencoder


def test_kl_is_torchs():
    mean, logvar = torch.randn(4, 3), torch.randn(4, 3)
    q, p = torch.distributions.Normal(mean, (0.5 * logvar).exp()), torch.distributions.Normal(0.0, 1.0)
    torch.testing.assert_close(kl_divergence(mean, logvar), torch.distributions.kl_divergence(q, p).mean())


def test_the_encoder_sees_the_range_that_the_decoder_makes():
    """Black is -1 and white is 1 on both sides."""
    ae, seen = ImageVAE(widths=(16, 16)), []
    ae.encoder.register_forward_hook(lambda _m, args, _out: seen.append(args[0]))
    ae.encode(torch.stack([torch.zeros(3, 32, 32), torch.ones(3, 32, 32)]))
    assert (seen[0][0] == -1).all() and (seen[0][1] == 1).all()
    ae.decoder = torch.nn.Identity()
    assert ae.decode(torch.full((1, 4, 8, 8), -1.0)).max() == 0 and ae.decode(torch.ones(1, 4, 8, 8)).min() == 1


def test_a_few_images_are_learned_and_the_loss_is_its_parts():
    torch.manual_seed(0)
    ae = ImageVAE(widths=(16, 32))
    x = torch.zeros(6, 3, 32, 32)
    for i in range(6):
        x[i, i % 3, 4 * i : 4 * i + 8, 8:24] = 1
    optimizer = torch.optim.AdamW(ae.parameters(), 3e-3)
    for _ in range(120):
        losses = ae.loss(x, torch.randn(6, 4, 8, 8))
        optimizer.zero_grad()
        losses["loss"].backward()
        optimizer.step()
    torch.testing.assert_close(losses["loss"], losses["reconstruction"] + ae.kl_weight * losses["kl"])
    assert (ae.decode(ae.encode(x)) - x).square().mean() < 0.01


def test_scaled_latents_have_unit_deviation_and_decode_to_the_same():
    torch.manual_seed(0)
    ae = ImageVAE(widths=(16, 16)).eval()
    x = torch.rand(32, 3, 32, 32)
    before = ae.decode(ae.encode(x))
    ae.fit_scale(ae.encode(x))
    assert ae.encode(x).std().item() == pytest.approx(1, abs=1e-4)
    torch.testing.assert_close(ae.decode(ae.encode(x)), before)
    ae.fit_scale(ae.encode(x))  # measuring twice changes nothing
    assert ae.encode(x).std().item() == pytest.approx(1, abs=1e-4)


def test_video_is_the_image_vae_frame_by_frame_and_has_no_weights_of_its_own():
    ae = ImageVAE(widths=(16, 16)).eval()
    ae.scale_factor.fill_(0.5)
    video = VideoAutoencoder(ae, frames=8)
    x = torch.rand(2, 8, 3, 32, 32)
    z = video.encode(x)
    torch.testing.assert_close(z[:, 5], ae.encode(x[:, 5]), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(video.decode(z)[1], ae.decode(z[1]), rtol=1e-4, atol=1e-5)
    assert not list(video.parameters())


def test_bad_shapes_are_named():
    ae = ImageVAE()
    with pytest.raises(ValueError, match=r"expected images \(b, 3, 32, 32\), got \(2, 3, 28, 28\)"):
        ae.encode(torch.zeros(2, 3, 28, 28))
    with pytest.raises(ValueError, match=r"expected latents of shape \(b, 4, 8, 8\), got \(2, 4, 4, 4\)"):
        ae.decode(torch.zeros(2, 4, 4, 4))
    with pytest.raises(ValueError, match=r"expected videos \(b, 8, 3, h, w\)"):
        VideoAutoencoder(ae).encode(torch.zeros(2, 7, 3, 32, 32))
    with pytest.raises(ValueError, match=r"expected latents of shape \(b, 8, 4, 8, 8\)"):
        VideoAutoencoder(ae).decode(torch.zeros(2, 4, 8, 8))
