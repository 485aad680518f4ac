"""A slider for notebooks: what a number does to pictures, for some values in rows, and by hand for any."""

import os
from collections.abc import Callable, Sequence
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
        ValueError: if there are fewer than two values, or they do not increase.
    """
    if len(values) < 2 or any(a >= b for a, b in zip(values, values[1:], strict=False)):
        raise ValueError(f"expected two or more increasing values, got {list(values)}")
    from IPython.display import display

    display(grid({f"{label} {value:g}": {"image": draw(value)} for value in values}))
    if os.environ.get("CODI_STATIC"):
        return None
    from ipywidgets import FloatSlider, Image, VBox

    first, last = values[0], values[-1]
    step = step or (last - first) / 100
    slider = FloatSlider(first, min=first, max=last, step=step, description=label, continuous_update=False)
    picture = Image(format="png")

    def update(_: Any = None) -> None:
        picture.value = grid({f"{label} {slider.value:g}": {"image": draw(slider.value)}}).png

    update()
    slider.observe(update, names="value")
    return VBox([slider, picture])
