"""Pictures: of any size, paper, ink and mode, they come out as the world's digits."""

import numpy as np
import pytest
import torch
from PIL import Image

from codi_minimal import media
from codi_minimal.fitting import INK
from tests.media.making import RED, drawing, large_drawing


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


def sixteen_bits(image):
    return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)


def test_sixteen_bit_grey_is_not_clipped(tmp_path):
    sixteen_bits(drawing()).save(tmp_path / "a.png")
    drawing().save(tmp_path / "b.png")
    assert (media.read_image(tmp_path / "a.png") - media.read_image(tmp_path / "b.png")).abs().max() < 0.01


def palette(image):
    """Paper is colour 1 of 3 and ink colour 2, so that the mean of both numbers is another colour."""
    grey = np.asarray(image.convert("L"))
    numbered = Image.frombytes("P", image.size, np.where(grey > 127, 1, 200).astype(np.uint8).tobytes())
    numbered.putpalette([0, 255, 0, 255, 255, 255] + [255, 0, 0] * 198 + [0, 0, 0])
    return numbered


def dim(image):
    """Grey on grey, in 16 bits: clipped to 8 bits it would be white."""
    return Image.fromarray((np.asarray(image.convert("L")) * 100.0 + 10_000).astype(np.uint16))


LARGE = {
    "rgb.png": lambda image: image,
    "rgb.jpg": lambda image: image,
    "cmyk.jpg": lambda image: image.convert("CMYK"),
    "grey.webp": lambda image: image.convert("L"),
    "bit.png": lambda image: image.convert("1"),
    "deep.png": dim,
    "palette.png": palette,
}


@pytest.mark.parametrize("name", LARGE)
def test_a_large_picture_is_made_smaller_and_shows_the_same(tmp_path, name):
    drawing().save(tmp_path / "small.png")
    LARGE[name](large_drawing()).save(tmp_path / name)
    difference = (media.read_image(tmp_path / name) - media.read_image(tmp_path / "small.png")).abs()
    assert difference.mean() < 0.01 and difference.max() < 0.2


@pytest.mark.parametrize("make", [drawing, large_drawing])
def test_a_picture_is_turned_as_its_camera_noted(tmp_path, make):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: the first row is the right side
    make().rotate(90, expand=True).save(tmp_path / "turned.jpg", exif=exif)
    make().save(tmp_path / "upright.jpg")
    difference = media.read_image(tmp_path / "turned.jpg") - media.read_image(tmp_path / "upright.jpg")
    assert difference.abs().mean() < 0.005


def test_a_phone_s_fifty_megapixels_are_read(tmp_path):
    large_drawing().resize((6120, 8160)).save(tmp_path / "a.jpg")
    drawing().save(tmp_path / "b.png")
    assert (media.read_image(tmp_path / "a.jpg") - media.read_image(tmp_path / "b.png")).abs().mean() < 0.01
