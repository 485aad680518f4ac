"""The U-Net: conditions reach the output, nulls are nulls, and it learns."""

import pytest
import torch
import torch.nn.functional as F

from codi_minimal.denoisers import UNet

SIZES = {"d": 8, "widths": (32, 32), "embed": 32, "tokens": 2}


def awake(net: torch.nn.Module) -> torch.nn.Module:
    """Every zero start replaced by small numbers, so that all paths carry something."""
    generator = torch.Generator().manual_seed(0)
    for p in net.parameters():
        if not p.any():
            p.data = 0.1 * torch.randn(p.shape, generator=generator)
    return net


@pytest.mark.parametrize("shape", [(4, 8), (4, 8, 8)])
def test_time_and_condition_change_the_prediction_and_batches_do_not(shape):
    net = awake(UNet(shape, **SIZES)).eval()
    z, t, cond = torch.randn(3, *shape), torch.tensor([5, 500, 999]), F.normalize(torch.randn(3, 8), dim=-1)
    out = net(z, t, cond)
    assert out.shape == z.shape
    assert (net(z, t + torch.tensor([1, 1, -1]), cond) - out).abs().amax(dim=tuple(range(1, out.ndim))).min() > 1e-5
    assert (net(z, t, -cond) - out).abs().amax(dim=tuple(range(1, out.ndim))).min() > 1e-3
    torch.testing.assert_close(net(z[1:2], t[1:2], cond[1:2]), out[1:2], rtol=1e-4, atol=1e-5)


def test_a_condition_of_unit_norm_reaches_the_networks_with_unit_variance():
    net, seen = UNet((4, 8), **{**SIZES, "d": 64}), []
    for module in (net.cond_mlp, net.cond_tokens):
        module.register_forward_hook(lambda _m, args, _out: seen.append(args[0]))
    cond = F.normalize(torch.randn(500, 64), dim=-1)
    net(torch.zeros(500, 4, 8), torch.zeros(500, dtype=torch.long), cond)
    assert [x.square().mean().item() for x in seen] == pytest.approx([1, 1], abs=1e-4)


def test_no_condition_is_a_row_of_zeros():
    net = awake(UNet((4, 8, 8), **SIZES)).eval()
    z, t = torch.randn(2, 4, 8, 8), torch.tensor([1, 2])
    torch.testing.assert_close(net(z, t, None), net(z, t, torch.zeros(2, 8)))


def test_it_starts_at_zero_and_overfits_one_batch():
    torch.manual_seed(0)
    net = UNet((4, 8, 8), **SIZES)
    z, t, cond = torch.randn(8, 4, 8, 8), torch.arange(8) * 100, F.normalize(torch.randn(8, 8), dim=-1)
    assert not net(z, t, cond).any()
    target, optimizer = torch.randn(8, 4, 8, 8), torch.optim.AdamW(net.parameters(), 3e-3)
    for _ in range(150):
        optimizer.zero_grad()
        loss = (net(z, t, cond) - target).square().mean()
        loss.backward()
        optimizer.step()
    assert loss < 0.1


@pytest.mark.parametrize(
    ("z", "t", "cond"),
    [
        ((2, 4, 8, 9), (2,), (2, 8)),
        ((2, 4, 8, 8), (3,), (3, 8)),
        ((2, 4, 8, 8), (2,), (2, 9)),
        ((2, 4, 8, 8), (2,), (1, 8)),
    ],
)
def test_bad_shapes_are_named(z, t, cond):
    with pytest.raises(ValueError, match="expected"):
        UNet((4, 8, 8), **SIZES)(torch.zeros(z), torch.zeros(t, dtype=torch.long), torch.zeros(cond))


def test_sides_that_do_not_halve_are_refused():
    with pytest.raises(ValueError, match="divisible by 2"):
        UNet((4, 7, 8), **SIZES)
