"""Files in and out: round trips are exact, real-life files are fitted, and bad files get one clear line."""

import struct
import zlib

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image, ImageDraw

from codi_minimal import media
from codi_minimal.fitting import INK, fit_audio, fit_image

RED = torch.tensor([1.0, 0.15, 0.15])


def drawing(size=(300, 400), paper=(255, 255, 255), ink=(0, 0, 0), box=(200, 60, 260, 240), width=24):
    """A seven: a bar on top and a slanted stroke."""
    image = Image.new("RGB", size, paper)
    left, top, right, bottom = box
    points = [(left, top), (right, top), (left + (right - left) // 3, bottom)]
    ImageDraw.Draw(image).line(points, fill=ink, width=width, joint="curve")
    return image


def moving_square():
    video = torch.zeros(8, 3, 32, 32)
    for i in range(8):
        video[i, :, 10:20, 4 + 2 * i : 12 + 2 * i] = RED[:, None, None]
    return video


def voice(rate, seconds=0.5, lead=0.3):
    t = torch.arange(int(seconds * rate)) / rate
    return torch.cat([torch.zeros(int(lead * rate)), 0.3 * torch.sin(2 * torch.pi * 440 * t)])


# ---- round trips: what was written is what is read


def test_png_round_trip_is_exact_to_a_byte(tmp_path):
    image = torch.zeros(3, 32, 32)
    image[:, 8:24, 12:20] = torch.rand(3, 16, 8, generator=torch.Generator().manual_seed(0)) * 0.8 + 0.2
    read = media.read_image(media.write_png(tmp_path / "a.png", image))
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
    pytest.importorskip("av")
    video = moving_square()
    read = media.read_video(media.write_mp4(tmp_path / "a.mp4", video))
    assert (read - video).abs().mean() < 0.03
    x, read, video = torch.arange(32.0), read.mean((1, 2)), video.mean((1, 2))
    assert ((read @ x) / read.sum(-1) - (video @ x) / video.sum(-1)).abs().max() < 0.6


def test_mp4_without_pyav_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    (tmp_path / "a.mp4").write_bytes(b"not a film")
    with pytest.raises(ImportError, match=r"codi-minimal\[video\]"):
        media.read_video(tmp_path / "a.mp4")


def test_text_round_trip(tmp_path):
    assert media.read_text(media.write_text(tmp_path / "a.txt", "a red  seven")) == "a red seven"


# ---- fitting: pictures


@pytest.mark.parametrize("size", [(300, 400), (900, 500), (61, 64)])
def test_dark_ink_on_paper_becomes_white_ink_on_black_in_mnist_framing(tmp_path, size):
    w, h = size
    box = (w // 2, h // 6, w // 2 + w // 5, h // 2)
    drawing(size, box=box, width=max(3, w // 30)).save(tmp_path / "a.jpg")
    image = media.read_image(tmp_path / "a.jpg")
    ink = image.mean(0)
    ys, xs = torch.nonzero(ink > 0.3, as_tuple=True)
    longer_side = max(ys.max() - ys.min(), xs.max() - xs.min()) + 1
    centre = [(ink.sum(axis) * (torch.arange(32) + 0.5)).sum() / ink.sum() for axis in (1, 0)]
    assert abs(longer_side - INK) <= 1.5
    assert all(abs(c - 16) <= 1 for c in centre)
    assert image[:, 0].max() == 0 and image.max() > 0.9
    assert (image[0] - image[2]).abs().max() < 1e-5  # black ink is white here


def test_coloured_ink_keeps_its_hue_on_paper_and_on_black(tmp_path):
    drawing(ink=(120, 18, 18)).save(tmp_path / "paper.png")
    drawing(paper=(0, 0, 0), ink=(255, 38, 38)).save(tmp_path / "black.png")
    for name in ("paper.png", "black.png"):
        image = media.read_image(tmp_path / name)
        y, x = divmod(int(image.mean(0).argmax()), 32)
        assert (image[:, y, x] - RED).abs().max() < 0.03


def test_paper_and_blackboard_give_the_same_drawing(tmp_path):
    drawing(paper=(240, 238, 230), ink=(20, 20, 22)).save(tmp_path / "paper.png")
    drawing(paper=(12, 12, 12), ink=(250, 250, 250)).save(tmp_path / "board.png")
    drawing().convert("L").save(tmp_path / "grey.bmp")
    paper, board, grey = (media.read_image(tmp_path / n) for n in ("paper.png", "board.png", "grey.bmp"))
    assert (paper - board).abs().max() < 0.03 and (paper - grey).abs().max() < 0.03


@pytest.mark.parametrize("ink", [(0, 0, 0), (255, 255, 255)])
def test_transparent_pictures_are_laid_on_the_paper_that_shows_them(tmp_path, ink):
    alpha = drawing(paper=(0, 0, 0), ink=(255, 255, 255)).convert("L")
    image = Image.new("RGB", alpha.size, ink)
    image.putalpha(alpha)
    image.save(tmp_path / "a.png")
    drawing().save(tmp_path / "b.png")
    assert (media.read_image(tmp_path / "a.png") - media.read_image(tmp_path / "b.png")).abs().max() < 0.03


def test_sixteen_bit_grey_is_not_clipped(tmp_path):
    grey = np.asarray(drawing().convert("L")).astype(np.uint16) * 257
    Image.fromarray(grey).save(tmp_path / "a.png")
    drawing().save(tmp_path / "b.png")
    assert (media.read_image(tmp_path / "a.png") - media.read_image(tmp_path / "b.png")).abs().max() < 0.01


# ---- fitting: sound and clips


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (44100, 2), (22050, 1), (44101, 1)])
def test_a_recording_of_any_rate_starts_at_onset_two_with_peak_four_fifths(tmp_path, rate, channels):
    wave = voice(rate)[:, None].repeat(1, channels)
    soundfile.write(tmp_path / "a.flac", wave.numpy(), rate)
    audio = media.read_audio(tmp_path / "a.flac")
    assert audio.shape == (8192,)
    assert audio[:1990].abs().max() < 0.012  # the world's silence
    assert audio[2000 : 2000 + 256].abs().max() > 0.7
    assert audio.abs().max() == pytest.approx(0.8, abs=0.02)
    spectrum = torch.fft.rfft(audio[2200:5400]).abs()
    assert spectrum.argmax() * 8000 / 3200 == pytest.approx(440, abs=4)


def test_a_long_recording_starts_earlier_and_fills_the_rest():
    audio = fit_audio(voice(8000, seconds=3), 8000)
    assert audio[:990].abs().max() < 0.012 and audio[1000:1200].abs().max() > 0.7
    assert audio[-200:].abs().max() > 0.7


def test_a_clip_of_any_length_gives_the_eight_moments_of_its_first_second(tmp_path):
    levels = [int(255 * (i + 1) / 40) for i in range(40)]
    frames = [Image.new("RGB", (60, 40)) for _ in levels]
    for frame, level in zip(frames, levels, strict=True):
        frame.paste((level, level, level), (20, 10, 40, 30))
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=50)  # 2 s
    peaks = media.read_video(tmp_path / "a.gif").amax((1, 2, 3)) * 40
    expected = [20 * (k + 0.5) / 8 // 1 + 1 for k in range(8)]
    assert torch.allclose(peaks, torch.tensor(expected), atol=0.3)


def test_a_clip_on_paper_is_turned_light_on_black(tmp_path):
    frames = [drawing(ink=(120, 18, 18), box=(120 + 5 * i, 100, 180 + 5 * i, 280)) for i in range(8)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=125)
    video = media.read_video(tmp_path / "a.gif")
    assert video[:, :, 0].max() < 0.05
    assert (video[3].amax((1, 2)) - RED).abs().max() < 0.1
    assert video[7].mean((0, 1)).argmax() > video[0].mean((0, 1)).argmax()


# ---- bad files


def bomb(width, height):
    """A PNG of a few bytes that claims to be enormous."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def png(**options):
    return lambda path: drawing(**options).save(path)


def truncated(path):
    drawing().save(path)
    path.write_bytes(path.read_bytes()[:400])


def wav(array, rate=8000):
    return lambda path: soundfile.write(path, np.asarray(array, dtype=np.float32), rate, subtype="FLOAT")


def raw(data):
    return lambda path: path.write_bytes(data)


BAD = [
    (media.read_image, "gone.png", lambda path: None, "no such file"),
    (media.read_image, "folder.png", lambda path: path.mkdir(), "a folder"),
    (media.read_image, "empty.png", raw(b""), "bytes, got 0"),
    (media.read_image, "corrupt.png", raw(b"this is no picture"), "cannot be read"),
    (media.read_image, "truncated.png", truncated, "cannot be read"),
    (media.read_image, "notes.docx", raw(b"x"), "got the ending '.docx'"),
    (media.read_image, "bare", raw(b"x"), "got the ending ''"),
    (media.read_image, "blank.png", png(ink=(255, 255, 255)), "blank picture"),
    (media.read_image, "big.png", raw(bomb(9000, 9000)), "cannot be read"),
    (media.read_image, "bomb.png", raw(bomb(60000, 60000)), "cannot be read"),
    (media.read_audio, "silence.wav", wav(np.zeros(4000)), "got silence"),
    (media.read_audio, "none.wav", wav(np.zeros(0)), "got silence"),
    (media.read_audio, "nan.wav", wav([0.1, float("nan")] * 2000), "NaN"),
    (media.read_audio, "slow.wav", wav(np.ones(500), 100), "samples a second"),
    (media.read_audio, "long.wav", wav(np.ones(61 * 8000)), "more than 60 s"),
    (media.read_audio, "corrupt.wav", raw(b"RIFF____WAVE"), "cannot be read"),
    (media.read_audio, "picture.wav", raw(bomb(4, 4)), "cannot be read"),
    (media.read_video, "corrupt.gif", raw(b"GIF89a"), "cannot be read"),
    (media.read_video, "a.avi", raw(b"x"), "got the ending '.avi'"),
    (media.read_text, "empty.txt", raw(b" \n "), "white space"),
    (media.read_text, "latin.txt", raw(b"\xff\xfe\xfa"), "cannot be read"),
]


@pytest.mark.parametrize(("read", "name", "make", "message"), BAD, ids=[case[1] for case in BAD])
def test_bad_files_get_one_line_that_names_them(tmp_path, read, name, make, message):
    make(tmp_path / name)
    with pytest.raises(ValueError, match="expected|more than") as caught:
        read(tmp_path / name)
    text = str(caught.value)
    assert text.startswith(str(tmp_path / name)) and message in text and "\n" not in text


def test_huge_files_are_refused_unread(tmp_path):
    with open(tmp_path / "a.wav", "wb") as file:
        file.truncate(media.MAX_BYTES + 1)  # sparse: nothing is written
    with pytest.raises(ValueError, match="50,000,001"):
        media.read_audio(tmp_path / "a.wav")


@pytest.mark.parametrize("write", [media.write_png, media.write_gif, media.write_wav])
def test_writers_refuse_nan_and_wrong_shapes(tmp_path, write):
    for bad in (torch.zeros(2, 2), torch.full((3, 4, 4), float("nan"))):
        with pytest.raises(ValueError, match=r"expected finite .* got \("):
            write(tmp_path / "out", bad)
    assert not (tmp_path / "out").exists()


def test_fit_image_keeps_what_is_in_the_world_already():
    image = torch.zeros(3, 32, 32)
    image[:, 3:9, 4:8] = 0.7
    assert torch.equal(fit_image(image), image)
