"""The attention to the environment: nothing at its start, nothing without tokens, and something once it is awake."""

import pytest
import torch
import torch.nn.functional as F

from codi_minimal.alignment import Environment, EnvironmentAttention, add_environment, environment_modules
from codi_minimal.alignment.environment import CLOCK, clock_code, slots
from codi_minimal.denoisers import UNet, VideoUNet
from codi_minimal.denoisers.unet import UNetBlock
from tests.denoisers.test_unet import SIZES, awake

WIDTH = CLOCK + 16  # of a token


def summary(b: int, n: int) -> Environment:
    """Summary tokens (b, n, WIDTH), which have no clock."""
    return Environment.of([F.pad(torch.randn(b, n, WIDTH - CLOCK), (0, CLOCK))])


def first(env: Environment, n: int) -> Environment:
    return Environment(env.tokens[:, :n], env.present[:, :n])


NETS = {"text": (UNet, (4, 8)), "image": (UNet, (4, 8, 8)), "video": (VideoUNet, (8, 4, 8, 8))}


@pytest.fixture(params=NETS)
def net(request):
    kind, shape = NETS[request.param]
    torch.manual_seed(0)
    return awake(kind(shape, **SIZES)).eval()


def test_at_its_zero_start_epsilon_is_unchanged(net):
    z, t = torch.randn(2, *net.shape), torch.tensor([10, 900])
    before = net(z, t)
    add_environment(net, d_env=WIDTH)
    assert torch.equal(net(z, t, env=summary(2, 6)), before)


def test_awake_it_listens_and_a_row_without_a_token_is_no_environment(net):
    z, t, env = torch.randn(2, *net.shape), torch.tensor([10, 900]), summary(2, 6)
    before = net(z, t)
    add_environment(net, d_env=WIDTH)
    awake(net)
    out = net(z, t, env=env)
    assert (out - before).abs().flatten(1).amax(dim=1).min() > 1e-4
    env.present[0] = False
    mixed = net(z, t, env=env)
    torch.testing.assert_close(mixed[0], before[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(mixed[1], out[1], rtol=1e-4, atol=1e-5)


def test_absent_tokens_weigh_nothing_and_order_does_not_matter():
    attention = awake(EnvironmentAttention(32, WIDTH, places=5))
    h, env = torch.randn(2, 5, 32), summary(2, 6)
    more = torch.cat([env.tokens, torch.randn(2, 3, WIDTH)], dim=1)
    padded = Environment(more, F.pad(env.present, (0, 3)))
    torch.testing.assert_close(attention(h, padded), attention(h, env))
    torch.testing.assert_close(attention(h, Environment.of([env.tokens[:, [3, 1, 5, 0, 2, 4]]])), attention(h, env))
    # a token of zeros is there, like any other
    zeros = Environment.of([torch.cat([env.tokens, torch.zeros(2, 1, WIDTH)], dim=1)])
    assert (attention(h, zeros) - attention(h, env)).abs().max() > 1e-4


def test_attention_is_a_softmax_with_one_silent_key():
    attention = awake(EnvironmentAttention(32, WIDTH, places=3))
    h, env = torch.randn(1, 3, 32), summary(1, 4)
    q = attention.q(attention.norm(h) + attention.position)[0]
    k, v = attention.kv(env.tokens)[0].chunk(2, dim=-1)
    scores = q @ torch.cat([attention.nothing[0], k]).T / 32**0.5
    expected = attention.out(scores.softmax(dim=-1)[:, 1:] @ v)
    torch.testing.assert_close(attention(h, env)[0], expected, rtol=1e-4, atol=1e-5)


def test_a_place_looks_first_at_the_tokens_of_its_own_time():
    times, env = slots(8).repeat(2), Environment.of([torch.randn(1, 3 + 8, 32)])
    env.tokens[..., -CLOCK:] = torch.cat([torch.zeros(3, CLOCK), CLOCK**0.5 * clock_code(slots(8))])
    attention = awake(EnvironmentAttention(32, 32, times))
    h = torch.randn(1, 16, 32)
    q = attention.q(attention.norm(h) + attention.position)[0]
    k, v = attention.kv(env.tokens)[0].chunk(2, dim=-1)
    clock = clock_code(times) @ clock_code(slots(8)).T
    scores = q @ torch.cat([attention.nothing[0], k]).T / 32**0.5 + 6 * F.pad(clock, (4, 0))
    expected = attention.out(scores.softmax(dim=-1)[:, 1:] @ v)
    torch.testing.assert_close(attention(h, env)[0], expected, rtol=1e-4, atol=1e-5)


def test_what_has_no_time_does_not_look_at_clocks():
    h, clocks = torch.randn(1, 8, 32), Environment.of([torch.randn(1, 8, WIDTH)])
    env = Environment.of([summary(1, 3).tokens, clocks.tokens])
    timeless, timed = (awake(EnvironmentAttention(32, WIDTH, times, places=8)) for times in (None, slots(8)))
    torch.testing.assert_close(timeless(h, env), timeless(h, first(env, 3)))
    assert (timed(h, env) - timed(h, first(env, 3))).abs().max() > 1e-4
    assert torch.equal(timeless(h, clocks), torch.zeros_like(h))


@pytest.mark.parametrize(("name", "clock"), [("image", False), ("image", True), ("video", True)])
def test_the_time_of_a_place_is_its_frame_or_its_column(name, clock):
    kind, shape = NETS[name]
    net = kind(shape, **SIZES)
    add_environment(net, d_env=32, clock=clock)
    code = net.middle.transformer.environment_attention.codes
    if name == "video":
        assert torch.equal(code, clock_code(slots(8)).repeat_interleave(len(code) // 8, dim=0))
    else:
        side = round(len(code) ** 0.5)
        assert torch.equal(code, clock_code(slots(side)).repeat(side, 1) if clock else torch.zeros(side**2, CLOCK))


def test_what_joint_training_may_change_is_the_attention_alone():
    net = UNet((4, 8, 8), **SIZES)
    before = len(list(net.parameters()))
    add_environment(net, d_env=WIDTH)
    added = [p for module in environment_modules(net) for p in module.parameters()]
    attended = 1 + 1 + sum(isinstance(layer, UNetBlock) for layer in net.up)  # the condition, the middle, the way up
    assert len(added) == len(list(net.parameters())) - before == 8 * attended


def test_the_condition_attends_too():
    net = awake(UNet((4, 8, 8), **SIZES)).eval()
    add_environment(net, d_env=WIDTH)
    t, cond, env = torch.tensor([10, 900]), F.normalize(torch.randn(2, 8), dim=-1), summary(2, 6)
    before, asleep = net.embed_condition(t, cond), net.embed_condition(t, cond, env)
    assert all(torch.equal(a, b) for a, b in zip(before, asleep, strict=True))
    awake(net.environment_attention)
    heard = cond + net.environment_attention(cond[:, None], env)[:, 0]
    for a, b in zip(net.embed_condition(t, cond, env), net.embed_condition(t, heard), strict=True):
        torch.testing.assert_close(a, b)
    assert (heard - cond).abs().amax(dim=1).min() > 1e-4
