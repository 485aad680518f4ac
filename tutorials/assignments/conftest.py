"""Whose answers are tested: those beside this file, or those in the folder that the variable ASSIGNMENTS names."""

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor

FOLDER = Path(os.environ.get("ASSIGNMENTS") or Path(__file__).parent)


@pytest.fixture
def close() -> Callable[..., None]:
    """close(found, expected, hint): the same shape and the same numbers, or the test fails and shows the hint."""

    def compare(found: Tensor, expected: Tensor, hint: str, **tolerances: float) -> None:
        assert isinstance(found, Tensor), f"expected a tensor, got {type(found).__name__}"
        if found.shape != expected.shape:  # first, because numbers of other shapes say little
            pytest.fail(f"expected the shape {tuple(expected.shape)}, got {tuple(found.shape)}. Hint: {hint}")
        torch.testing.assert_close(found, expected, msg=lambda told: f"{told}\nHint: {hint}", **tolerances)

    return compare


@pytest.fixture
def answer(request) -> ModuleType:
    """The module that a test file is about: test_a1_q_sample.py is about a1_q_sample.py."""
    path = FOLDER / f"{request.path.stem.removeprefix('test_')}.py"
    if not path.is_file():
        pytest.fail(f"{path.name} was not handed in: it is not in {FOLDER}")
    spec = importlib.util.spec_from_file_location(f"answer_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
