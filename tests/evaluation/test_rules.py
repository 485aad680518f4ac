import pytest
import torch

from codi_minimal.evaluation.rules import read_audio_onset, read_colour, read_motion, read_video_onset

RULES = [
    (read_colour, "image", "colour"),
    (read_motion, "video", "motion"),
    (read_video_onset, "video", "onset"),
    (read_audio_onset, "audio", "onset"),
]


@pytest.mark.parametrize(("rule", "modality", "attribute"), RULES)
def test_rules_read_real_renders(sample, rule, modality, attribute):
    scene, renders = sample
    assert (rule(renders[modality]) == getattr(scene, attribute)).float().mean() >= 0.99


def test_rules_forgive_what_a_decoder_leaves_behind(sample):
    scene, renders = sample
    noise = 0.02 * torch.randn(renders["video"].shape, generator=torch.Generator().manual_seed(0))
    video = (renders["video"] + noise).clamp(0, 1)
    assert (read_motion(video) == scene.motion).float().mean() >= 0.98
    assert (read_video_onset(video) == scene.onset).float().mean() >= 0.98
    assert (read_colour(0.6 * renders["image"]) == scene.colour).float().mean() >= 0.99


def test_colour_ignores_the_shape_and_motion_the_colour(sample):
    scene, renders = sample
    flipped = renders["image"].flip(-1)
    assert (read_colour(flipped) == scene.colour).all()
    grey = renders["video"].amax(2, keepdim=True).expand(-1, -1, 3, -1, -1)
    assert (read_motion(grey) == read_motion(renders["video"])).float().mean() >= 0.99


def test_a_mirrored_video_moves_the_other_way(sample):
    scene, renders = sample
    left = scene.motion == 0
    assert (read_motion(renders["video"][left].flip(-1)) == 1).all()


def test_a_later_sound_starts_later(sample):
    _, renders = sample
    early = renders["audio"][sample[0].onset == 1]
    assert (read_audio_onset(early.roll(2000, 1)) == read_audio_onset(early) + 2).float().mean() >= 0.98


def test_where_there_is_nothing_nothing_is_read():
    still = torch.zeros(1, 8, 3, 32, 32)
    still[..., 10:20, 10:20] = 1
    assert read_colour(torch.zeros(1, 3, 32, 32)) == -1
    for video in (torch.zeros(1, 8, 3, 32, 32), still):
        assert read_motion(video) == -1 and read_video_onset(video) == -1
    assert read_audio_onset(torch.zeros(1, 8192)) == -1
