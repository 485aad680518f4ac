"""Writers: what they write is what the readers read."""

import os
import sys

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from codi_minimal import media
from tests.media.making import RED, moving_square


def world_image():
    """Off the centre, of many shades, as `generate` makes it."""
    image = torch.zeros(3, 32, 32)
    shades = torch.rand(3, 9, 7, generator=torch.Generator().manual_seed(0)) * 0.8 + 0.2
    image[:, 3:12, 20:27] = RED[:, None, None] * shades
    return image


def test_what_generate_wrote_is_read_back_to_eight_bits(tmp_path):
    image = world_image()
    video = torch.stack([image.roll(k, 1) for k in range(8)])
    wave = 0.8 * torch.sin(torch.arange(8192) / 5) * (torch.arange(8192) > 4000)
    sample = {"text": "a red seven sliding left", "image": image, "audio": wave, "video": video}
    paths = media.write_sample(tmp_path, "001", sample, gif=True)
    assert [path.name for path in paths] == ["001-text.txt", "001-image.png", "001-audio.wav", "001-video.gif"]
    with Image.open(paths[1]) as written:
        assert written.size == (256, 256)
    read = {name: media.READERS[name](path) for name, path in zip(sample, paths, strict=True)}
    assert read["text"] == sample["text"]
    for name, step in {"image": 1 / 255, "video": 1 / 255, "audio": 1 / 32768}.items():
        assert (read[name] - sample[name]).abs().max() <= 1.01 * step, name


@pytest.mark.parametrize("upscale", [1, 2, 8])
def test_png_of_repeated_pixels_is_read_as_it_was_written(tmp_path, upscale):
    image = world_image()
    read = media.read_image(media.write_png(tmp_path / "a.png", image, upscale))
    assert (read - image).abs().max() <= 0.5 / 255 + 1e-6


def test_png_upscaled_repeats_pixels(tmp_path):
    image = torch.rand(3, 5, 7, generator=torch.Generator().manual_seed(0))
    pixels = np.asarray(Image.open(media.write_png(tmp_path / "a.png", image, upscale=3)))
    assert pixels.shape == (15, 21, 3)
    assert (pixels[::3, ::3] == pixels[2::3, 1::3]).all()


def test_wav_round_trip_keeps_every_sample(tmp_path):
    wave = 0.9 * torch.sin(torch.arange(8192) / 5)
    path = media.write_wav(tmp_path / "a.wav", wave)
    assert soundfile.info(path).samplerate == 8000
    assert (media.read_audio(path) - wave).abs().max() < 1 / 30000


def test_gif_round_trip_keeps_frames_and_lasts_a_second(tmp_path):
    video = moving_square()
    video[1] = video[0]  # Pillow merges equal frames into a longer one: reading goes by time, not by count
    path = media.write_gif(tmp_path / "a.gif", video)
    with Image.open(path) as gif:
        assert gif.info["loop"] == 0 and gif.size == (128, 128)
        seconds = 0
        for i in range(gif.n_frames):
            gif.seek(i)
            seconds += gif.info["duration"] / 1000
    assert seconds == pytest.approx(1.0)
    assert (media.read_video(path) - video).abs().max() < 0.01


def test_mp4_round_trip(tmp_path):
    video = moving_square()
    read = media.read_video(media.write_mp4(tmp_path / "a.mp4", video))
    assert (read - video).abs().mean() < 0.03
    x, read, video = torch.arange(32.0), read.mean((1, 2)), video.mean((1, 2))
    assert ((read @ x) / read.sum(-1) - (video @ x) / video.sum(-1)).abs().max() < 0.6


def test_a_sample_with_video_and_audio_is_one_mp4_with_sound(tmp_path):
    late = [0.8 * torch.sin(torch.arange(8192) / 3) * (torch.arange(8192) > 1000 * onset) for onset in (1, 4)]
    for i, wave in enumerate(late):
        paths = media.write_sample(tmp_path, str(i), {"audio": wave, "video": moving_square()})
        assert [path.name for path in paths] == [f"{i}-audio.wav", f"{i}-video.mp4"]
        heard = media.read_audio(paths[1], start=0.0)
        assert torch.corrcoef(torch.stack([heard, wave]))[0, 1] > 0.95  # a delay of one sample would make it .94
        assert (media.read_video(paths[1]) - moving_square()).abs().mean() < 0.03
    (alone,) = media.write_sample(tmp_path, "2", {"video": moving_square()})
    with pytest.raises(ValueError, match="no sound"):
        media.read_audio(alone)


def test_text_round_trip(tmp_path):
    assert media.read_text(media.write_text(tmp_path / "a.txt", "a red  seven")) == "a red seven"
    (tmp_path / "a.txt").write_text("a red seven\r\n", encoding="utf-8-sig")  # as Windows's editor does
    assert media.read_text(tmp_path / "a.txt") == "a red seven"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a name must be Unicode")
def test_a_name_need_not_be_unicode(tmp_path):
    folder = tmp_path / os.fsdecode(b"\xe4\xff \xf0\x9f\x8e\xb2 %s")
    folder.mkdir()
    sample = {"text": "seven", "image": world_image(), "audio": torch.ones(8192), "video": moving_square()}
    for path in media.write_sample(folder, "1", sample) + media.write_sample(folder, "2", sample, gif=True):
        assert path.stat().st_size > 0


@pytest.mark.parametrize("write", [media.write_png, media.write_gif, media.write_wav])
def test_writers_refuse_nan_and_wrong_shapes(tmp_path, write):
    for bad in (torch.zeros(2, 2), torch.full((3, 4, 4), float("nan"))):
        with pytest.raises(ValueError, match=r"expected a float tensor .* got (shape|NaN)"):
            write(tmp_path / "out", bad)
    assert not (tmp_path / "out").exists()
