"""Examples that need neither a microphone nor a file."""

from functools import cache

import torch

from codi_minimal.config import MODALITIES
from codi_minimal.data import draw, load, render_video
from codi_minimal.demo import handwritten
from codi_minimal.play.request import Brought

FILM_SEED = 3


@cache
def examples() -> dict[str, tuple[list[Brought], tuple[str, ...]]]:
    """For each title what is brought, and the outputs."""
    digit, _ = handwritten("orange")
    white, _ = handwritten("white")
    return {
        "Words": ([Brought("text", "Show me a crimson 7 going up, please")], MODALITIES),
        "A handwritten digit": ([Brought("image", digit)], MODALITIES),
        "Half of it drawn, half of it said": (
            [Brought("image", white), Brought("text", "something cyan that gets bigger")],
            MODALITIES,
        ),
        "A silent film, held": ([Brought("video", film(), "given")], ("text", "audio")),
        "Nothing at all": ([], MODALITIES),
    }


def film() -> torch.Tensor:
    """A clip (8, 3, 32, 32) of the built-in handwriting."""
    source, generator = load(hub=False, data=None), torch.Generator().manual_seed(FILM_SEED)
    return render_video(source, draw(source, 1, generator, glyphs=torch.arange(len(source.digits))))[0]
