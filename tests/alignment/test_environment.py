"""V_m: tokens of one norm, a clock that knows its times, and no look into other samples."""

import pytest
import torch

from codi_minimal.alignment import EnvironmentEncoder

SIZES = {"d_env": 16, "width": 32, "layers": 1, "stem": 16, "summary": 2}


@pytest.fixture
def video() -> EnvironmentEncoder:
    torch.manual_seed(0)
    return EnvironmentEncoder(
        (8, 4, 8, 8), "(b f) e (h p) (w q) -> b f (h w) (e p q)", {"p": 4, "q": 4}, clock=8, **SIZES
    ).eval()


def test_tokens_have_norm_sqrt_d_and_depend_on_latent_and_time(video):
    z, t = torch.randn(3, 8, 4, 8, 8), torch.tensor([0, 500, 999])
    tokens = video(z, t)
    assert tokens.shape == (3, 2 + 8, 16)
    torch.testing.assert_close(tokens.norm(dim=-1), torch.full((3, 10), 4.0))
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


def test_modalities_without_time_have_summary_tokens_only():
    text = EnvironmentEncoder((8, 8), "b e l -> b 1 l e", {}, **SIZES)
    assert text(torch.randn(2, 8, 8), torch.tensor([1, 2])).shape == (2, 2, 16)


def test_bad_shapes_and_patterns_are_named(video):
    with pytest.raises(ValueError, match=r"expected z_t \(b, 8, 4, 8, 8\), got \(2, 4, 8, 8\)"):
        video(torch.zeros(2, 4, 8, 8), torch.zeros(2, dtype=torch.long))
    with pytest.raises(ValueError, match="expected patches with 4 times, got 1"):
        EnvironmentEncoder((8, 8), "b e l -> b 1 l e", {}, clock=4, **SIZES)
