"""V_m: tokens of one norm, a clock that knows its times, and no look into other samples."""

import pytest
import torch

from codi_minimal.alignment import Environment, EnvironmentEncoder, has_clock
from codi_minimal.alignment.environment import CLOCK, clock_code, slots, with_motion

SIZES = {"d_env": 32, "width": 32, "layers": 1, "stem": 16, "summary": 2}


@pytest.fixture
def video() -> EnvironmentEncoder:
    torch.manual_seed(0)
    return EnvironmentEncoder(
        (8, 4, 8, 8), "(b f) e (h p) (w q) -> b f (h w) (e p q)", {"p": 4, "q": 4}, clock=8, **SIZES
    ).eval()


def test_clocks_tell_the_middles_of_frames():
    """So that a stream of 8 frames and one of 64 columns agree on when something happens."""
    assert slots(4).tolist() == [0.125, 0.375, 0.625, 0.875]
    torch.testing.assert_close(slots(64).reshape(8, 8).mean(dim=1), slots(8))


def test_tokens_have_norm_sqrt_d_and_depend_on_latent_and_time(video):
    z, t = torch.randn(3, 8, 4, 8, 8), torch.tensor([0, 500, 999])
    tokens = video(z, t)
    assert tokens.shape == (3, 2 + 8, 32)
    torch.testing.assert_close(tokens[..., :-CLOCK].norm(dim=-1), torch.full((3, 10), 32**0.5))
    assert (video(z, t.flip(0))[[0, 2]] - tokens[[0, 2]]).abs().amax(dim=(1, 2)).min() > 1e-3
    assert (video(-z, t) - tokens).abs().amax(dim=(1, 2)).min() > 1e-3
    torch.testing.assert_close(video(z[1:2], t[1:2]), tokens[1:2], rtol=1e-4, atol=1e-5)


def test_a_clock_token_answers_first_to_its_own_frame(video):
    z, t = torch.randn(1, 8, 4, 8, 8), torch.tensor([100])
    for frame in (0, 3, 7):
        changed = z.clone()
        changed[:, frame] = -changed[:, frame]
        moved = (video(changed, t) - video(z, t)).norm(dim=-1)[0, 2:]
        assert moved.argmax() == frame


def test_a_frame_is_seen_with_its_changes():
    z = torch.tensor([1.0, 1.0, 3.0, 2.0]).reshape(1, 4, 1, 1, 1)
    seen = with_motion(z)[0, :, :, 0, 0].tolist()
    assert seen == [[0, 1, 0], [0, 1, 2], [2, 3, -1], [-1, 2, 0]]


def test_every_stream_with_time_carries_the_same_clock_and_summaries_none(video):
    audio = EnvironmentEncoder((8, 8, 8), "b e (m p) n -> b n m (e p)", {"p": 4}, clock=8, **SIZES)
    t = torch.tensor([5])
    for tokens in (video(torch.randn(1, 8, 4, 8, 8), t)[0], audio(torch.randn(1, 8, 8, 8), t)[0]):
        assert not tokens[:2, -CLOCK:].any()
        torch.testing.assert_close(tokens[2:, -CLOCK:], CLOCK**0.5 * clock_code(slots(8)))
    u = torch.tensor([0.1, 0.15, 0.7])
    product = torch.stack([(torch.pi * k * (u[:, None] - u)).cos() for k in range(1, 9)]).mean(dim=0)
    torch.testing.assert_close(clock_code(u) @ clock_code(u).T, product)


def test_modalities_without_time_have_summary_tokens_only():
    text = EnvironmentEncoder((8, 8), "b e l -> b 1 l e", {}, **SIZES)
    assert text(torch.randn(2, 8, 8), torch.tensor([1, 2])).shape == (2, 2, 32)


def test_bad_shapes_and_patterns_are_named(video):
    with pytest.raises(ValueError, match=r"expected z_t \(b, 8, 4, 8, 8\), got \(2, 4, 8, 8\)"):
        video(torch.zeros(2, 4, 8, 8), torch.zeros(2, dtype=torch.long))
    with pytest.raises(ValueError, match="expected patches with 4 times, got 1"):
        EnvironmentEncoder((8, 8), "b e l -> b 1 l e", {}, clock=4, **SIZES)


def test_noise_leaves_clock_codes_and_what_is_there_as_they_are(video):
    env = Environment.of([video(torch.randn(1, 8, 4, 8, 8), torch.tensor([300]))])
    assert has_clock(env.tokens).tolist() == [[False] * 2 + [True] * 8]
    noise = torch.randn_like(env.tokens)
    out = env.noisy(noise)
    torch.testing.assert_close(out.tokens[..., :-CLOCK], (env.tokens + noise)[..., :-CLOCK])
    assert torch.equal(out.tokens[..., -CLOCK:], env.tokens[..., -CLOCK:])
    assert out.present is env.present


def test_tokens_of_several_streams_are_all_there(video):
    a, b = torch.randn(3, 2, 32), torch.randn(3, 4, 32)
    env = Environment.of([a, b])
    assert torch.equal(env.tokens, torch.cat([a, b], dim=1))
    assert env.present.shape == (3, 6) and env.present.all()


def test_the_clock_tokens_of_a_finished_latent_are_those_at_time_zero(video):
    z0 = torch.randn(2, 8, 4, 8, 8)
    assert torch.equal(video.clock_tokens(z0), video(z0, torch.zeros(2, dtype=torch.long))[:, 2:])
