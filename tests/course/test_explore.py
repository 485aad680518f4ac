"""The slider of the notebooks, without a browser: its strip, and what a move of it draws."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from codi_minimal.course import explore


def grey(value: float) -> torch.Tensor:
    """Two pictures as bright as the value."""
    return torch.full((2, 3, 32, 32), value)


def middle(png: bytes) -> float:
    """How bright the darkest pixel of a picture is, its text apart: rows of a grid end with samples."""
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), dtype=float)[..., -60:, :].mean() / 255


@pytest.fixture
def shown(monkeypatch) -> list:
    """What is displayed."""
    things = []
    monkeypatch.setattr("IPython.display.display", things.append)
    return things


def test_without_a_kernel_there_is_a_row_for_each_value_and_no_slider(shown, monkeypatch):
    monkeypatch.setenv("CODI_STATIC", "1")
    asked = []
    assert explore(lambda value: asked.append(value) or grey(value), (0, 0.5, 1), "w") is None
    assert asked == [0, 0.5, 1] and len(shown) == 1
    assert len(np.unique(np.asarray(Image.open(io.BytesIO(shown[0].png)).convert("L"))[:, -40])) >= 3


def test_a_move_of_the_slider_draws_its_value(shown, monkeypatch):
    monkeypatch.delenv("CODI_STATIC", raising=False)
    asked = []
    slider, picture = explore(lambda value: asked.append(value) or grey(value), (0, 1), "w", step=0.25).children
    assert (slider.min, slider.max, slider.step, slider.value) == (0, 1, 0.25, 0) and len(shown) == 1
    assert slider.description == "w" and not slider.continuous_update  # one drawing a move, not one a pixel
    before, asked[:] = middle(picture.value), []
    slider.value = 0.75
    assert asked == [0.75] and middle(picture.value) > before + 0.2
    assert explore(grey, (0, 1), "w").children[0].step == 0.01


def test_the_picture_says_its_value(shown, monkeypatch):
    monkeypatch.delenv("CODI_STATIC", raising=False)
    slider, picture = explore(lambda value: grey(0.5), (0, 1), "w").children
    before = picture.value
    slider.value = 0.5
    assert picture.value != before


@pytest.mark.parametrize("values", [(1,), (1, 1), (2, 1), (0, float("nan")), (0, float("inf"))])
def test_values_that_do_not_increase_are_refused(values):
    with pytest.raises(ValueError, match="two or more finite increasing values, got"):
        explore(grey, values, "w")


@pytest.mark.parametrize("step", [0, -1, float("nan")])
def test_a_step_that_leads_nowhere_is_refused(step):
    with pytest.raises(ValueError, match="expected a finite step > 0, got"):
        explore(grey, (0, 1), "w", step)
