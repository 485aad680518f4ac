import pytest
import torch

from codi_minimal.diffusion import classifier_free_guidance, guided

B, D = 3, 4
Z = torch.arange(B * 5, dtype=torch.float64).sin().reshape(B, 5)
T = torch.tensor([1, 2, 3])
COND = torch.arange(1, 1 + B * D, dtype=torch.float64).cos().reshape(B, D)
ENV = torch.arange(1, 1 + B * 2 * D, dtype=torch.float64).cos().reshape(B, 2, D)


class Net:
    """Treats zero rows as absent, as denoisers do, and remembers its calls' batch sizes."""

    def __init__(self):
        self.batches = []

    def __call__(self, z_t, t, cond, env):
        self.batches.append(len(z_t))
        out = z_t * t[:, None]
        out = out if cond is None else out + (cond**2).sum(1, keepdim=True)
        return out if env is None else out + (env**2).sum((1, 2))[:, None]


NULL, WITH_ENV = Net()(Z, T, None, None), Net()(Z, T, None, ENV)


@pytest.mark.parametrize("env", [None, ENV])
def test_scale_one_is_the_network_itself_in_one_call(env):
    net = Net()
    assert torch.equal(guided(net, 1.0)(Z, T, COND, env), Net()(Z, T, COND, env))
    assert net.batches == [B]


def test_other_scales_take_one_call_of_twice_the_batch():
    net = Net()
    out = guided(net, 3.0)(Z, T, COND, None)
    assert net.batches == [2 * B]
    torch.testing.assert_close(out, NULL + 3 * (Net()(Z, T, COND, None) - NULL))


def test_scale_zero_is_unconditional():
    torch.testing.assert_close(guided(Net(), 0.0)(Z, T, COND, None), NULL)
    torch.testing.assert_close(guided(Net(), 0.0)(Z, T, COND, ENV), NULL)


def test_linear_in_the_scale():
    at = {g: guided(Net(), g)(Z, T, COND, ENV) for g in (0.0, 2.0, 5.0)}
    torch.testing.assert_close(at[5.0] - at[0.0], 2.5 * (at[2.0] - at[0.0]))


def test_env_is_amplified_with_the_prompt():
    full = Net()(Z, T, COND, ENV)
    torch.testing.assert_close(guided(Net(), 2.0)(Z, T, COND, ENV), NULL + 2 * (full - NULL))


def test_without_a_prompt_only_the_env_can_be_guided():
    net = Net()
    assert torch.equal(guided(net, 4.0)(Z, T, None, None), NULL)
    assert net.batches == [B]
    torch.testing.assert_close(guided(net, 4.0)(Z, T, None, ENV), NULL + 4 * (WITH_ENV - NULL))
    torch.testing.assert_close(guided(net, 0.5)(Z, T, None, ENV), NULL + 0.5 * (WITH_ENV - NULL))


@pytest.mark.parametrize("g", [1.0, 5.0])
def test_the_scale_may_depend_on_the_time(g):
    asked, net = [], Net()

    def scale(t):
        asked.append(t)
        return g

    assert torch.equal(guided(net, scale)(Z, T, COND, ENV), guided(Net(), g)(Z, T, COND, ENV))
    assert len(asked) == 1 and asked[0] is T and net.batches == [B if g == 1 else 2 * B]


def test_bad_input():
    with pytest.raises(ValueError, match="one shape"):
        classifier_free_guidance(Z, Z[:1], 2.0)
