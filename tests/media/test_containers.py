"""Films and voice memos as people have them: their second from a given time on, and their sound."""

import av
import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from codi_minimal import media
from codi_minimal.media import clips, containers
from tests.media.making import BEGINS, film, moving_square


@pytest.fixture(scope="module", params=[".mp4", ".mov", ".webm"])
def clip(request, tmp_path_factory):
    return film(tmp_path_factory.mktemp("films") / f"a{request.param}")


def colours(video):
    return video.mean((2, 3)).argmax(1).tolist()


@pytest.mark.parametrize(
    ("start", "expected"),
    [(0.0, [0] * 8), (1.0, [1] * 8), (2.5, [2] * 4 + [0] * 4), (4.5, [1] * 8)],
    ids=["the first", "the second", "between two", "half a second is left"],
)
def test_a_clip_is_read_from_a_time_on(clip, start, expected):
    assert colours(media.read_video(clip, start)) == expected


def test_the_second_of_a_clip_moves_as_it_does_at_its_beginning(clip):
    first, third = (media.read_video(clip, start).amax(1) for start in (0.0, 3.0))
    assert (first - third).abs().mean() < 0.02


@pytest.mark.parametrize("start", [2.6, 3.0, 3.2])
def test_the_sound_of_a_clip_keeps_its_time(clip, start):
    audio = media.read_audio(clip, start)
    heard = int((audio.abs() > 0.1).float().argmax())
    assert abs(heard - 8000 * (BEGINS - start)) < 70  # before PyAV 18 the sound of a WebM is 8 ms late
    spectrum = torch.fft.rfft(audio[heard + 200 :][:1600]).abs()
    assert spectrum.argmax() * 8000 / 1600 == pytest.approx(440, abs=6)


def test_before_its_voice_a_clip_is_silent(clip):
    with pytest.raises(ValueError, match="got silence"):
        media.read_audio(clip, 0.5)


@pytest.mark.parametrize("start", [5.5, 100])
def test_a_start_after_the_end_is_an_error(clip, start):
    with pytest.raises(ValueError, match="no frames there"):
        media.read_video(clip, start)
    with pytest.raises(ValueError, match="no sound after"):
        media.read_audio(clip, start)


@pytest.mark.parametrize("start", [-1, float("nan"), 1e9, "2", None])
def test_a_start_is_a_time(clip, start):
    with pytest.raises(ValueError, match="start: expected a"):
        media.read_video(clip, start)
    if start is not None:
        with pytest.raises(ValueError, match="start: expected a"):
            media.read_audio(clip, start)


def test_a_voice_memo_is_read_as_any_recording(tmp_path):
    audio = media.read_audio(film(tmp_path / "a.m4a", pictures=False))
    assert audio[:990].abs().max() < 0.012 and audio[1000:1256].abs().max() > 0.7


@pytest.mark.parametrize("ending", ["wav", "flac", "mp3"])
def test_a_recording_of_any_length_is_read_from_a_time_on(tmp_path, ending):
    t = np.arange(70 * 22050) / 22050
    path = tmp_path / f"a.{ending}"
    soundfile.write(path, 0.5 * np.sin(2 * np.pi * 440 * t) * (t > 60 + BEGINS), 22050)
    audio = media.read_audio(path, 63.0)
    assert abs(int((audio.abs() > 0.1).float().argmax()) - 2400) < 60
    with pytest.raises(ValueError, match="no sound after 80 s"):
        media.read_audio(path, 80)


def test_a_gif_is_read_from_a_time_on(tmp_path, monkeypatch):
    frames = [Image.new("RGB", (64, 64)) for _ in range(12)]
    for i, frame in enumerate(frames):
        frame.paste([(255, 0, 0), (0, 255, 0), (0, 0, 255)][i // 4], (20, 20, 44, 44))
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=250)
    assert colours(media.read_video(tmp_path / "a.gif", 1.5)) == [1] * 4 + [2] * 4
    monkeypatch.setattr(clips, "MAX_SKIPPED", 4 * 64 * 64)  # a GIF has a quarter of it; equal frames are one
    assert colours(media.read_video(tmp_path / "a.gif", 1.5)) == [1] * 4 + [2] * 4
    with pytest.raises(ValueError, match="more than 4,096 pixels"):
        media.read_video(tmp_path / "a.gif", 2.5)
    monkeypatch.undo()
    with pytest.raises(ValueError, match="no frames there"):
        media.read_video(tmp_path / "a.gif", 3.5)


def test_only_so_many_frames_are_decoded_before_a_start(tmp_path, monkeypatch):
    path = film(tmp_path / "a.mp4", keys=1000, sound=False)
    monkeypatch.setattr(containers, "MAX_SKIPPED", 30 * 64 * 64)
    assert colours(media.read_video(path, 1.5)) == [1] * 4 + [2] * 4
    with pytest.raises(ValueError, match="more than 122,880 pixels"):
        media.read_video(path, 2.0)


def test_a_start_is_found_without_decoding_all_before_it(tmp_path, monkeypatch):
    path = film(tmp_path / "a.mp4", keys=20, sound=False)
    monkeypatch.setattr(containers, "MAX_SKIPPED", 20 * 64 * 64)
    assert colours(media.read_video(path, 4.0)) == [1] * 8


def test_what_generate_wrote_is_read_as_a_clip_with_its_sound(tmp_path):
    wave = 0.8 * torch.sin(torch.arange(8192) / 3) * (torch.arange(8192) > 3000)
    path = media.write_mp4(tmp_path / "a.mp4", moving_square(), wave)
    with av.open(str(path)) as container:
        assert [stream.type for stream in container.streams] == ["video", "audio"]
    assert abs(int((media.read_audio(path).abs() > 0.1).float().argmax()) - 3000) < 20


@pytest.mark.parametrize("ending", [".mp4", ".webm"])
@pytest.mark.parametrize("hole", [(0, 0.4), (0.3, 0.6)], ids=["it starts late", "it has a gap"])
def test_a_sound_track_with_a_hole_keeps_its_time(tmp_path, ending, hole):
    path = film(tmp_path / f"a{ending}", seconds=1, begins=0.7, hole=hole)
    heard = int((media.read_audio(path, 0.0).abs() > 0.1).float().argmax())
    assert abs(heard - 5600) < 200
