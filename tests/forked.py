"""Child processes forked from one that has imported the packages of others, but nothing of ours.

Python keeps one such server a process, so that all tests have to share its list of imports.
"""

import multiprocessing
from typing import Any

HEAVY = [
    "torch", "torchaudio", "torchvision", "einops", "scipy", "sklearn.linear_model", "pydantic", "pytest",
    "matplotlib.pyplot", "IPython", "ipywidgets",
]  # fmt: skip
KINDS = multiprocessing.get_all_start_methods()
FORKED: Any = multiprocessing.get_context("forkserver" if "forkserver" in KINDS else "spawn")
FORKED.set_forkserver_preload(HEAVY)
