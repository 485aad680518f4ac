import pytest
import torch

from codi_minimal.denoisers import UNet
from codi_minimal.diffusion import guided

GENERATOR = torch.Generator().manual_seed(0)
Z_T, COND = torch.randn(3, 4, 8, 8, generator=GENERATOR), torch.randn(3, 16, generator=GENERATOR)
T = torch.tensor([999, 500, 3])


@pytest.fixture(scope="module")
def net() -> UNet:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = UNet((4, 8, 8), d=16, widths=(32, 32), embed=32, tokens=2).eval().requires_grad_(False)
        for p in net.parameters():  # layers that start at zero would hide mistakes
            p.add_(0.05 * torch.randn(p.shape))
    return net


@pytest.mark.parametrize("g", [0.0, 1.0, 4.0])
def test_it_is_the_packages(answer, close, net, g):
    hint = "v_0 + g (v_1 - v_0), where v_0 has zeros for the prompt; mind which half of the batch is which."
    close(answer.guided(net, Z_T, T, COND, g), guided(net, g)(Z_T, T, COND), hint, rtol=1e-4, atol=1e-5)


def test_without_guidance_the_prompt_has_no_effect(answer, net):
    a, b = (answer.guided(net, Z_T, T, cond, 0.0) for cond in (COND, -COND))
    torch.testing.assert_close(a, b)


def test_the_network_is_called_once_on_twice_the_batch(answer, net):
    sizes = []

    def counted(z_t, t, cond):
        sizes.append((len(z_t), len(t), len(cond)))
        return net(z_t, t, cond)

    answer.guided(counted, Z_T, T, COND, 4.0)
    assert sizes == [(6, 6, 6)], "Hint: join the two batches of 3 before the call, and take the output apart."
