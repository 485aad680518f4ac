"""What callers hand in: one item, a batch, several prompts."""

import numpy as np
import pytest
import torch

from codi_minimal.inputs import TensorData, TextData, check_number, check_tensor

SOUND = TensorData("audio", (4,), -1.0, 1.0)
TEXT = TextData("text")


def test_items_become_batches():
    assert SOUND.batch(torch.zeros(4)).shape == (1, 4)
    assert SOUND.batch(np.zeros((2, 4))).dtype == torch.float32
    assert TEXT.batch("seven") == ["seven"]
    assert TEXT.batch(("seven", "two")) == ["seven", "two"]


def test_lists_are_several_prompts():
    assert [len(b) for b in SOUND.prompts([torch.zeros(2, 4), torch.zeros(4)])] == [2, 1]
    assert len(SOUND.prompts(torch.zeros(3, 4))) == 1
    assert TEXT.prompts("seven") == [["seven"]]
    assert TEXT.prompts(["seven", "two"]) == [["seven", "two"]]
    assert TEXT.prompts([["seven"], ["red", "blue"]]) == [["seven"], ["red", "blue"]]


def test_rounding_is_forgiven_and_clamped():
    assert SOUND.batch(torch.tensor([1.0005, -1.0005, 0, 0])).abs().max() == 1


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (torch.zeros(5), r"audio: expected a float tensor \(b, 4\) in \[-1, 1\], got shape \(5,\)"),
        (torch.zeros(0, 4), r"got shape \(0, 4\)"),
        (torch.zeros(2, 2, 4), r"got shape \(2, 2, 4\)"),
        (torch.full((4,), 1.1), "got values in"),
        (torch.tensor([0, 0, 0, torch.inf]), "NaN or infinite"),
        (torch.zeros(2, 4).to_sparse(), "got one of layout torch.sparse_coo"),
        (torch.zeros(2, 4, device="meta"), "got one without data"),
        (torch.zeros(4, dtype=torch.uint8), "got torch.uint8"),
        (object(), "got object"),
    ],
)
def test_bad_tensors_are_named(value, message):
    with pytest.raises(ValueError, match=message):
        SOUND.batch(value)


@pytest.mark.parametrize("value", ["", "  ", [], ["seven", ""], [1], 7, None, torch.zeros(4)])
def test_bad_texts_are_named(value):
    with pytest.raises(ValueError, match="text: expected"):
        TEXT.batch(value)


def test_no_prompt_at_all_is_refused():
    with pytest.raises(ValueError, match="audio: expected at least one prompt, got none"):
        SOUND.prompts([])


def test_a_letter_of_a_shape_is_any_length_but_zero():
    for n in (1, 7):
        assert check_tensor("x", torch.ones(3, n), (3, "n")).shape == (3, n)
    for shape in ((3, 0), (2, 7), (3,), (3, 7, 1)):
        with pytest.raises(ValueError, match=r"x: expected a float tensor \(3, n\), got shape"):
            check_tensor("x", torch.ones(shape), (3, "n"))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**400, -(10**400), True, "1", None])
def test_what_is_no_finite_number_is_refused(value):
    with pytest.raises(ValueError, match="x: expected a finite number, got "):
        check_number("x", value)
