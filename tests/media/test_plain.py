"""Files of any content keep what they show: the middle square, the first second."""

import pytest
import torch

from codi_minimal.data import load, render_audio, render_image, render_video
from codi_minimal.data.scenes import draw
from codi_minimal.media import READERS_OF, write_gif, write_png, write_wav
from codi_minimal.media.plain import plain_audio, plain_image, plain_video


def test_the_middle_square_is_averaged_over_areas():
    wide = torch.zeros(3, 64, 128)
    wide[0, :, 32:96], wide[1, :, 64:96] = 0.5, 1.0
    image = plain_image(wide)
    assert image.shape == (3, 32, 32) and (image[0] == 0.5).all() and not image[2].any()
    assert not image[1, :, :16].any() and (image[1, :, 16:] == 1).all()
    clip = plain_video(torch.stack([wide * f / 8 for f in range(8)]))
    assert torch.allclose(clip[7], image * 7 / 8) and clip.shape == (8, 3, 32, 32)
    assert plain_image(torch.full((3, 5, 9), 0.25)).allclose(torch.full((3, 32, 32), 0.25))


def test_the_first_second_of_a_sound_keeps_its_time_and_level():
    t = torch.arange(48_000) / 16_000
    wave = 0.3 * torch.sin(2 * torch.pi * 440 * t) * (t > 0.5)
    sound = plain_audio(wave, 16_000)
    expected = 0.3 * torch.sin(2 * torch.pi * 440 * torch.arange(8192) / 8000)
    assert sound.shape == (8192,) and sound[:3900].abs().max() < 0.01
    assert (sound - expected)[4200:8100].abs().max() < 0.01
    short = plain_audio(torch.full((800,), 0.5), 8000)
    assert (short[:800] == 0.5).all() and not short[800:].any()
    with pytest.raises(ValueError, match="samples a second"):
        plain_audio(wave, 12)


def test_data_of_the_world_come_back_from_their_files(tmp_path):
    source, g = load(hub=False, data=None), torch.Generator().manual_seed(0)
    scene = draw(source, 1, g, torch.arange(len(source.digits)), torch.arange(len(source.spoken)))
    data = {"image": render_image(source, scene)[0], "audio": render_audio(source, scene, g)[0]}
    data["video"] = render_video(source, scene)[0]
    read = READERS_OF["plain"]
    for name, write, ending in (("image", write_png, "png"), ("audio", write_wav, "wav"), ("video", write_gif, "gif")):
        write(tmp_path / f"x.{ending}", data[name])
        assert (read[name](tmp_path / f"x.{ending}") - data[name]).abs().mean() < 0.02, name


def test_a_picture_of_anything_is_not_taken_for_a_digit(tmp_path):
    noise = torch.rand(3, 40, 40, generator=torch.Generator().manual_seed(0))
    noise[:, :20] *= 0.3
    write_png(tmp_path / "x.png", noise)
    image = READERS_OF["plain"]["image"](tmp_path / "x.png")
    assert image[:, :14].mean() < 0.2 < 0.4 < image[:, 18:].mean()
