"""The audio autoencoder: the VAE is of the spectrogram, the vocoder is behind it."""

import torch
from torch import nn

from codi_minimal.autoencoders.audio import AudioVAE
from codi_minimal.autoencoders.mel import LogMel


class Recorder(nn.Module):
    """A vocoder that keeps what it was given."""

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        self.mel = mel
        return mel.flatten(1).repeat(1, 2)


def burst(onset: int) -> torch.Tensor:
    x = torch.zeros(1, 8192)
    x[0, onset * 1024 : onset * 1024 + 1500] = 0.5 * torch.sin(torch.arange(1500) * 0.7)
    return x


def trained() -> tuple[AudioVAE, torch.Tensor]:
    torch.manual_seed(0)
    ae = AudioVAE(LogMel(), Recorder(), widths=(16, 16, 32))
    x = torch.cat([burst(i) for i in range(1, 7)])
    optimizer = torch.optim.AdamW(ae.parameters(), 3e-3)
    for _ in range(150):
        loss = ae.loss(x, torch.randn(6, 8, 8, 8))["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return ae.eval(), x


def test_it_learns_spectrograms_and_hands_them_to_the_vocoder():
    ae, x = trained()
    z = ae.encode(x)
    assert z.shape == (6, 8, 8, 8)
    error = (ae.decode_mel(z) - ae.mel(x)).abs().mean()
    assert error < 0.1
    out = ae.decode(z)
    assert out.shape == (6, 8192)
    assert torch.equal(ae.vocoder.mel, ae.decode_mel(z))


def test_a_column_of_the_latent_is_a_frame_of_the_video():
    ae, _ = trained()
    moved = (ae.encode(burst(5)) - ae.encode(torch.zeros(1, 8192))).square().sum(dim=(0, 1, 2))
    assert moved[5:7].sum() > 0.6 * moved.sum()


def test_the_vocoder_is_not_trained_by_the_vae():
    ae = AudioVAE(LogMel(), nn.Linear(1, 1), widths=(16, 16, 16))
    ae.loss(burst(2), torch.randn(1, 8, 8, 8))["loss"].backward()
    assert all(p.grad is None for p in ae.vocoder.parameters())
