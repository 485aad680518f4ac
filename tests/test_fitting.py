"""What `fitting` keeps, and what it refuses; how it fits real files is in tests/media."""

import pytest
import torch
from torch import Tensor

from codi_minimal.fitting import fit_audio, fit_image, fit_video


def test_what_is_in_the_world_already_is_kept():
    image = torch.zeros(3, 32, 32)
    image[:, 3:9, 4:8] = 0.7
    assert torch.equal(fit_image(image), image)
    squares = image.repeat_interleave(8, 1).repeat_interleave(8, 2)
    assert (fit_image(squares) - image).abs().max() < 1e-6
    wave = torch.sin(torch.arange(8192) / 5)
    assert torch.equal(fit_audio(wave, 8000), wave)


def test_a_drawing_that_is_not_made_of_squares_is_framed():
    image = torch.zeros(3, 256, 256)
    image[:, 27:77, 33:67] = 0.7  # not on the grid of squares of 8
    rows = fit_image(image).mean(0).sum(1)
    assert (rows * (torch.arange(32) + 0.5)).sum() / rows.sum() == pytest.approx(16, abs=1)


NAN = float("nan")
WRONG = [
    (fit_image, torch.rand(4, 40, 40), r"pixels: expected a float tensor \(3, h, w\) in \[0, 1\], got shape \(4"),
    (fit_image, torch.rand(1, 3, 40, 40), r"got shape \(1, 3, 40, 40\)"),
    (fit_image, torch.rand(3, 0, 40), r"got shape \(3, 0, 40\)"),
    (fit_image, torch.zeros(3, 40, 40, dtype=torch.uint8), "got torch.uint8"),
    (fit_image, torch.full((3, 40, 40), NAN), "got NaN or infinite values"),
    (fit_image, torch.full((3, 40, 40), 255.0), r"in \[0, 1\], got values in \[255, 255\]"),
    (fit_image, [[0.5]], "got list"),
    (fit_video, torch.rand(9, 3, 40, 40), r"frames: expected .* \(8, 3, h, w\) in \[0, 1\], got shape \(9"),
    (fit_video, torch.full((8, 3, 40, 40), NAN), "got NaN"),
    (fit_audio, torch.ones(9000, dtype=torch.int16), r"samples: expected a float tensor \(n\), got torch.int16"),
    (fit_audio, torch.rand(2, 9000), r"got shape \(2, 9000\)"),
    (fit_audio, torch.tensor([0.1, float("inf")] * 4000), "got NaN or infinite"),
    (fit_image, torch.rand(3, 40, 40).to_sparse(), "got one of layout torch.sparse_coo"),
    (fit_video, torch.rand(8, 3, 40, 40, device="meta"), "got one without data"),
    (fit_image, torch.rand(3, 40, 40).to(torch.float8_e4m3fn), "got torch.float8_e4m3fn"),
    (fit_image, torch.full((3, 40, 40), 1e300, dtype=torch.float64), "got NaN or infinite"),
    (fit_audio, torch.rand(100), r"128 samples or more, got shape \(100,\)"),
]


@pytest.mark.parametrize(("fit", "values", "message"), WRONG)
def test_other_values_are_refused_with_what_was_expected_and_what_came(fit, values, message):
    with pytest.raises(ValueError, match=message):
        fit(*((values, 8000) if fit is fit_audio else (values,)))


@pytest.mark.parametrize("rate", ["8000", None, True, 100, 1e6, NAN])
def test_a_rate_is_a_number(rate):
    with pytest.raises(ValueError, match=r"samples a second: expected a number in \[2000, 192000\], got "):
        fit_audio(torch.rand(8192), rate)


GLYPH = torch.zeros(3, 40, 40)
GLYPH[0, 10:30, 12:20] = 0.75
CLIP = torch.stack([GLYPH.roll(k, 2) for k in range(8)])
VOICE = torch.sin(torch.arange(6000) / 5) * (torch.arange(6000) > 3000) / 2


@pytest.fixture
def float64_by_default():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("change", [Tensor.double, Tensor.half, Tensor.bfloat16, lambda x: x.clone().requires_grad_()])
@pytest.mark.parametrize(("fit", "values"), [(fit_image, (GLYPH,)), (fit_video, (CLIP,)), (fit_audio, (VOICE, 8000))])
def test_other_floats_and_another_default_give_the_same_float32(float64_by_default, fit, values, change):
    torch.set_default_dtype(torch.float32)
    expected = fit(*values)
    torch.set_default_dtype(torch.float64)
    result = fit(change(values[0]), *values[1:])
    assert result.dtype == torch.float32 and not result.requires_grad
    assert (result - expected).abs().max() < (1e-6 if change(VOICE).dtype.itemsize > 2 else 0.01)


def seven(size=240, ink=(0.1, 0.1, 0.1), width=0.08):
    """A seven on white paper, as a photograph without any light on it."""
    y, x = torch.meshgrid(torch.linspace(0, 1, size), torch.linspace(0, 1, size), indexing="ij")
    bar = (y > 0.25) & (y < 0.25 + width) & (x > 0.3) & (x < 0.7)
    stroke = ((x - (0.7 - (y - 0.25) * 0.5)).abs() < width / 2) & (y > 0.25) & (y < 0.75)
    drawn = (bar | stroke)[None].float()
    return 1 - drawn * (1 - torch.tensor(ink)[:, None, None]), x, y


LIGHTS = {
    "from the left": lambda x, y: 1 - 0.6 * x,
    "from a corner": lambda x, y: 1 - 0.35 * (x + y),
    "with the edge of a shadow": lambda x, y: 1 - 0.5 * ((x + 0.3 * y) > 0.6).float(),
    "in a warm colour": lambda x, y: (1 - 0.5 * y)[None] * torch.tensor([1.0, 0.9, 0.75])[:, None, None],
}


@pytest.mark.parametrize("light", LIGHTS)
def test_a_photograph_in_uneven_light_is_framed_as_one_in_even_light(light):
    page, x, y = seven()
    plain, lit = fit_image(page), fit_image(page * LIGHTS[light](x, y))
    assert (plain - lit).abs().mean() < 0.01
    assert torch.equal(lit[0], lit[1]) and torch.equal(lit[1], lit[2])  # black ink, which is shown as white


def test_coloured_ink_keeps_its_colour_in_uneven_light():
    page, x, y = seven(ink=(0.1, 0.2, 0.8))
    plain, lit = (fit_image(p).amax((1, 2)) for p in (page, page * LIGHTS["in a warm colour"](x, y)))
    assert (plain - lit).abs().max() < 0.15 and lit.argmax() == 2


def test_a_dark_corner_and_dust_are_not_ink():
    page, x, y = seven()
    page = page * LIGHTS["from the left"](x, y) * (1 - 0.8 * ((x > 0.93) & (y > 0.93)).float())
    page[:, 20:23, 40:43] = 0.1
    plain = fit_image(seven()[0])
    assert (fit_image(page) - plain).abs().mean() < 0.01


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_a_photograph_of_other_floats_is_framed_alike(dtype):
    page, x, y = seven()
    lit = page * LIGHTS["from the left"](x, y)
    fitted = fit_image(lit.to(dtype))
    assert fitted.dtype == torch.float32 and (fitted - fit_image(lit)).abs().mean() < 0.01


def test_a_thick_brush_in_even_light_is_left_as_it_is():
    page, _, _ = seven(width=0.24)
    assert fit_image(page).sum() > 1.5 * fit_image(seven()[0]).sum()


def test_ink_at_the_edge_of_a_tight_crop_is_no_light():
    page = torch.ones(3, 200, 140)
    page[:, :, 50:90] = 0.1
    assert fit_image(page).amax() > 0.99
    page, _, _ = seven()
    tight = page[:, 58:182, 70:172]
    assert (fit_image(tight) - fit_image(page)).abs().mean() < 0.02


@pytest.mark.parametrize("board", [0.2, 0.35])
def test_chalk_on_a_board_in_uneven_light_is_light_ink(board):
    page, x, y = seven()
    chalk = board + (0.95 - board) * (1 - page) / (1 - page).amax()
    fitted = fit_image(chalk * LIGHTS["from the left"](x, y).clamp(min=0.55))
    assert (fitted - fit_image(page)).abs().mean() < 0.03
