"""The world's numbers, measured from what is rendered."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from codi_minimal.data import (
    ATTRIBUTES_OF,
    COLOURS,
    DIGITS,
    MOTIONS,
    draw,
    render_audio,
    render_image,
    render_video,
)
from codi_minimal.data.scenes import CANVAS

EVERY = torch.arange(10)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def scenes(source, n=48, seed=0):
    glyphs, recordings = torch.arange(len(source.digits)), torch.arange(len(source.spoken))
    return draw(source, n, generator(seed), glyphs, recordings)


def moments(render):
    """Mass, centroid (x, y) from the canvas centre, and standard deviation, of "… 3 h w"."""
    grey = render.sum(-3).double()
    at = torch.arange(CANVAS) + 0.5 - CANVAS / 2
    mass = grey.sum((-1, -2))
    x, y = (grey.sum(-2) * at).sum(-1) / mass, (grey.sum(-1) * at).sum(-1) / mass
    spread = (((at - x[..., None]) ** 2 * grey.sum(-2)).sum(-1) / mass).sqrt()
    return mass, torch.stack((x, y), -1), spread


def test_the_attributes_and_who_carries_them():
    assert DIGITS[7] == "seven" and len(DIGITS) == 10
    assert tuple(COLOURS) == ("red", "green", "blue", "yellow", "magenta", "cyan", "orange", "white")
    assert MOTIONS == ("left", "right", "up", "down", "growing", "shrinking")
    assert [name for name, has in ATTRIBUTES_OF.items() if "onset" in has] == ["audio", "video"]
    assert [name for name, has in ATTRIBUTES_OF.items() if "colour" in has] == ["text", "image", "video"]


def test_draws_are_uniform_and_within_range(ruler):
    scene = scenes(ruler, 4800)
    for values, count in ((scene.digit, 10), (scene.colour, 8), (scene.motion, 6), (scene.onset - 1, 4)):
        share = values.bincount(minlength=count) / len(scene)
        assert len(share) == count and (share - 1 / count).abs().max() < 0.03
    assert 20 <= scene.width.min() < 20.1 and 23.9 < scene.width.max() <= 24
    assert -2 <= scene.centre.min() < -1.95 and 1.95 < scene.centre.max() <= 2


def test_glyph_and_recording_are_of_the_digit_and_from_the_indices_given(source):
    glyphs, recordings = torch.arange(0, len(source.digits), 3), torch.arange(0, len(source.spoken), 2)
    scene = draw(source, 200, generator(), glyphs, recordings)
    assert (source.digits[scene.glyph] == scene.digit).all() and (scene.glyph % 3 == 0).all()
    assert (source.spoken[scene.recording] == scene.digit).all() and (scene.recording % 2 == 0).all()


def test_draw_without_a_digit_says_which(ruler):
    with pytest.raises(ValueError, match="none of .*'nine'"):
        draw(ruler, 100, generator(), EVERY[:9], EVERY)


def test_rendering_without_what_it_needs_is_refused(ruler):
    scene = draw(ruler, 4, generator())
    with pytest.raises(ValueError, match="glyph"):
        render_image(ruler, scene)
    with pytest.raises(ValueError, match="recording"):
        render_audio(ruler, scene, generator())
    with pytest.raises(ValueError, match="Generator"):
        render_audio(ruler, scenes(ruler, 2))


def test_scaling_is_torch_bilinear(source):
    """Parity with affine_grid and grid_sample, zero outside."""
    scene = scenes(source, 6)
    size = 28 / scene.width * CANVAS / 28  # of the canvas, in glyphs
    theta = torch.zeros(6, 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = size
    theta[:, :, 2] = -scene.centre * (2 / CANVAS) * size[:, None]
    grid = F.affine_grid(theta, [6, 1, CANVAS, CANVAS], align_corners=False)
    expected = F.grid_sample(source.glyphs[scene.glyph][:, None].float() / 255, grid, align_corners=False)
    rgb = torch.tensor(list(COLOURS.values()))[scene.colour]
    torch.testing.assert_close(render_image(source, scene), expected * rgb[:, :, None, None], atol=2e-5, rtol=0)


def test_image_has_the_colour_place_and_size(ruler):
    scene = scenes(ruler)
    image = render_image(ruler, scene)
    mass, centre, spread = moments(image)
    torch.testing.assert_close(centre, scene.centre.double(), atol=0.02, rtol=0)
    torch.testing.assert_close(spread / 2 * 28, scene.width.double(), atol=0.5, rtol=0)
    brightest = image.amax((-1, -2))  # the blob's peak, between two pixels, times the colour
    rgb = torch.tensor(list(COLOURS.values()))[scene.colour]
    torch.testing.assert_close(brightest / rgb, brightest[:, :1] / rgb[:, :1] * torch.ones(3))
    assert (brightest / rgb).min() > 0.85


@pytest.mark.parametrize(
    "motion, step", [("left", (-1.5, 0)), ("right", (1.5, 0)), ("up", (0, -1.5)), ("down", (0, 1.5))]
)
def test_video_slides_from_its_onset(ruler, motion, step):
    scene = scenes(ruler, 16)
    motions = torch.full_like(scene.motion, MOTIONS.index(motion))
    scene = replace(scene, motion=motions, centre=0 * scene.centre)
    mass, centre, spread = moments(render_video(ruler, scene))
    for path, onset in zip(centre, scene.onset.tolist(), strict=True):
        moved = torch.tensor([max(0, frame - onset + 1) for frame in range(8)])
        expected = moved[:, None] * torch.tensor(step, dtype=torch.double)
        torch.testing.assert_close(path, expected, atol=0.03, rtol=0)
    torch.testing.assert_close(spread, torch.full_like(spread, 2 * 22 / 28), atol=0.06, rtol=0)


@pytest.mark.parametrize("motion, factor", [("growing", 1.07), ("shrinking", 1 / 1.09)])
def test_video_grows_or_shrinks_from_its_onset(ruler, motion, factor):
    scene = scenes(ruler, 16)
    scene = replace(scene, motion=torch.full_like(scene.motion, MOTIONS.index(motion)))
    mass, centre, _ = moments(render_video(ruler, scene))
    width = (mass / mass[:, :1]).sqrt()
    moved = (torch.arange(8) - scene.onset[:, None] + 1).clamp(min=0)
    torch.testing.assert_close(width, factor ** moved.double(), atol=0.01, rtol=0)
    torch.testing.assert_close(centre, scene.centre.double()[:, None].expand(-1, 8, -1), atol=0.03, rtol=0)


def test_real_glyphs_stand_still_before_the_onset_and_move_at_it(source):
    scene = scenes(source)
    video = render_video(source, scene)
    for clip, onset in zip(video, scene.onset.tolist(), strict=True):
        assert all(torch.equal(clip[frame], clip[0]) for frame in range(onset))
        assert all((clip[frame] - clip[frame - 1]).abs().max() > 0.05 for frame in range(onset, 8))
    assert video.shape == (48, 8, 3, 32, 32) and video.min() >= 0 and video.max() <= 1


def test_voice_starts_at_onset_in_silence(ruler):
    scene = scenes(ruler, 64)
    sound = render_audio(ruler, scene, generator(1))
    silence = []
    for wave, onset, digit in zip(sound, scene.onset.tolist(), scene.digit.tolist(), strict=True):
        length = min(int(ruler.lengths[digit]), 8192 - 1000 * onset)
        assert torch.equal(wave[1000 * onset :][:length], ruler.recordings[digit, :length])
        silence += [wave[: 1000 * onset], wave[1000 * onset + length :]]
    silence = torch.cat(silence)
    assert abs(silence.std() / 0.002 - 1) < 0.02 and abs(silence.mean()) < 2e-5
    assert sound.shape == (64, 8192)


def test_real_voices_are_heard_at_the_onset(source):
    scene = scenes(source)
    sound = render_audio(source, scene, generator())
    for wave, onset in zip(sound, scene.onset.tolist(), strict=True):
        assert wave[: 1000 * onset].abs().max() < 0.012
        loudest = wave[1000 * onset :].unfold(0, 128, 128).pow(2).mean(-1).sqrt().max()
        assert wave[1000 * onset :][:128].pow(2).mean().sqrt() > loudest / 11
        assert wave.abs().max() <= 0.8 + 1e-6


def test_the_same_seed_draws_and_renders_the_same_and_another_does_not(ruler):
    def world(seed):
        g = generator(seed)
        scene = draw(ruler, 8, g, EVERY, EVERY)
        return torch.cat([r(ruler, scene, g).flatten() for r in (render_image, render_video, render_audio)])

    assert torch.equal(world(3), world(3)) and not torch.equal(world(3), world(4))


def test_mixed_precision_renders_the_same(source):
    scene = draw(source, 8, torch.Generator().manual_seed(0), torch.arange(len(source.digits)))
    with torch.autocast("cpu", torch.bfloat16):
        under = render_video(source, scene)
    assert torch.equal(under, render_video(source, scene))


def test_a_part_of_a_batch_renders_as_in_the_batch(ruler):
    scene = scenes(ruler, 6)
    for idx in (slice(1, 4), [0, 5], torch.tensor([3, 3])):
        assert torch.equal(render_video(ruler, scene[idx]), render_video(ruler, scene)[idx])
    assert scene[[1]].words() == [
        {
            "digit": DIGITS[scene.digit[1]],
            "colour": tuple(COLOURS)[scene.colour[1]],
            "motion": MOTIONS[scene.motion[1]],
        }
    ]
