"""A slider for notebooks: what a number does to pictures, for some values in rows, and by hand for any."""

import os
from collections.abc import Callable, Sequence
from itertools import pairwise
from math import inf
from typing import Any

from torch import Tensor

from codi_minimal.course.show import grid


def explore(draw: Callable[[float], Tensor], values: Sequence[float], label: str, step: float | None = None) -> Any:
    """Displays a row of pictures for each value of a number, and returns a slider that draws one row for any value.

    With the environment variable `CODI_STATIC` there is no slider, for pages that no kernel stands behind.

    Args:
        draw: value → pictures (n, 3, h, w) in [0, 1]. values: two or more, increasing; the slider's ends are the
            first and the last. label: of the number. step: of the slider; none: a hundredth of its range.

    Returns:
        The slider above its picture, a box of ipywidgets. None with `CODI_STATIC`.

    Raises:
        ValueError: if there are fewer than two values, they do not increase, or the step is not above 0.
    """
    if len(values) < 2 or not all(-inf < a < b < inf for a, b in pairwise(values)):
        raise ValueError(f"expected two or more finite increasing values, got {list(values)}")
    if step is not None and not 0 < step < inf:
        raise ValueError(f"expected a finite step > 0, got {step}")
    from IPython.display import display

    display(grid({f"{label} {value:g}": {"image": draw(value)} for value in values}))
    if os.environ.get("CODI_STATIC"):
        return None
    from ipywidgets import FloatSlider, Image, VBox

    first, last = values[0], values[-1]
    step = step or (last - first) / 100
    wide = {"description_width": "initial"}  # so that a long label is not cut
    slider = FloatSlider(first, min=first, max=last, step=step, description=label, style=wide, continuous_update=False)
    picture = Image(format="png")

    def update(_: Any = None) -> None:
        picture.value = grid({f"{label} {slider.value:g}": {"image": draw(slider.value)}}).png

    update()
    slider.observe(update, names="value")
    return VBox([slider, picture])
