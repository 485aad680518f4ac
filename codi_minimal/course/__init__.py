"""What the notebooks share: a lesson's scale, its model and folder, and pictures that are drawn while it trains."""

from codi_minimal.course.explore import explore
from codi_minimal.course.lesson import SCALES, Scale, begin, finish
from codi_minimal.course.show import Live, Picture, grid, heat, line, movie, right, scatter, sheet, sound

__all__ = [
    "SCALES", "Live", "Picture", "Scale", "begin", "explore", "finish", "grid", "heat", "line", "movie", "right",
    "scatter", "sheet", "sound",
]  # fmt: skip
