"""`python -m conformance.jax_port OUT` computes the kit's cases; with --time it tells seconds, beside torch's."""

import sys
import time
from importlib.util import find_spec
from typing import Any

from .codi import CoDi
from .kit import WEIGHTS, run

RUNS: dict[str, tuple[dict[str, list], tuple[str, ...]]] = {  # prompts, outputs
    "text to image": ({"text": [["a red seven"]]}, ("image",)),
    "nothing to image and text": ({}, ("image", "text")),
}


def tell_times() -> None:
    """Seconds of one sample of each run, the shortest of three; a first one takes longer, as it is compiled."""
    models: dict[str, Any] = {"jax": CoDi(WEIGHTS)}
    if find_spec("torch"):
        from codi_minimal import CoDi as Torch

        models["torch"] = Torch.from_pretrained()
    for title, (asked, outputs) in RUNS.items():
        for framework, model in models.items():
            taken = []
            for _ in range(4):
                start = time.perf_counter()
                model.generate(asked, outputs)
                taken.append(time.perf_counter() - start)
            best = min(taken[1:])
            print(f"{title}: {framework} {best:.2f} s (the first {taken[0] - best:.1f} s more)", flush=True)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m conformance.jax_port OUT, or --time")
    tell_times() if sys.argv[1] == "--time" else run(sys.argv[1])
