"""What a visitor asks for: prompts, given streams and options, as arguments of `generate` and as a command line."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import numpy as np
import torch
from torch import Tensor

from codi_minimal.fitting import fit_image

SEED = 0


@dataclass(frozen=True)
class Brought:
    """One thing that a visitor brought.

    Args:
        modality: its name. item: a caption, or a tensor as `generate` takes it. role: "prompt" or "given".
        key: to find it again.
    """

    modality: str
    item: Any
    role: str = "prompt"
    key: str = field(default_factory=lambda: uuid4().hex)


@dataclass(frozen=True)
class Request:
    """All that determines a result.

    Args:
        outputs: names of modalities. weights: of the prompts' modalities.
        recipe: its name; None: the checkpoint's. guidance, steps: None: the recipe's. joint: generated together.
        served: options of the command line that serves the page, which `generate` must have, too.
    """

    brought: Sequence[Brought] = ()
    outputs: Sequence[str] = ()
    weights: Mapping[str, float] = field(default_factory=dict)
    recipe: str | None = None
    seed: int = SEED
    guidance: float | None = None
    steps: int | None = None
    joint: bool = True
    served: Mapping[str, str] = field(default_factory=dict)

    def arguments(self) -> dict[str, Any]:
        """Those of `CoDi.generate`. ValueError: no output, or a modality is given twice, or given and an output."""
        if not self.outputs:
            raise ValueError("outputs: expected one or more, got none")
        prompts: dict[str, list[Any]] = {}
        given: dict[str, Any] = {}
        for thing in self.brought:
            if thing.role == "prompt":
                # a list of strings would be one prompt for each sample
                batch = [thing.item] if isinstance(thing.item, str) else thing.item
                prompts.setdefault(thing.modality, []).append(batch)
            elif thing.modality in given:
                raise ValueError(f"held streams: expected each modality once, got {thing.modality} twice")
            else:
                given[thing.modality] = thing.item
        if both := set(given) & set(self.outputs):
            raise ValueError(f"outputs: expected none that is held, got {', '.join(sorted(both))}")
        weights = {name: float(weight) for name, weight in self.weights.items() if name in prompts}
        return {
            "prompts": prompts,
            "outputs": tuple(self.outputs),
            "weights": weights or None,
            "recipe": self.recipe,
            "seed": self.seed,
            "guidance": self.guidance,
            "steps": self.steps,
            "joint": self.joint,
            "given": given or None,
        }

    def command(self, files: Sequence[str]) -> str:
        """The command line that repeats it; `files`: for each thing brought its caption or the name of its file."""
        words = ["python", "-m", "codi_minimal", "generate"]
        for thing, file in zip(self.brought, files, strict=True):
            is_given = thing.role == "given"
            words.append(f"--given={thing.modality}={file}" if is_given else f"--{thing.modality}={file}")
        words += ["--to", *self.outputs]
        weights = self.arguments()["weights"] or {}
        if any(weight != 1 for weight in weights.values()):
            words += ["--weights", *(f"{name}={weight:g}" for name, weight in weights.items())]
        own = {name: getattr(self, name) for name in ("recipe", "seed", "guidance", "steps")}
        for option, value in {**self.served, **{name: v for name, v in own.items() if v is not None}}.items():
            words += [f"--{option}", str(value)]
        return shlex.join(words if self.joint else [*words, "--no-joint"])


def drawing(layers: Mapping[str, Any] | None, fit: Callable[[Tensor], Tensor] = fit_image) -> Tensor:
    """What was drawn, "h w 4" bytes under "composite", on white paper, as an image. ValueError: nothing."""
    pixels = None if layers is None else layers.get("composite")
    if pixels is None:
        raise ValueError("expected a drawing, got an empty sheet")
    rgba = torch.from_numpy(np.asarray(pixels)).float() / 255
    rgb, alpha = rgba[..., :3], rgba[..., 3:] if rgba.shape[-1] == 4 else torch.ones_like(rgba[..., :1])
    return fit((rgb * alpha + 1 - alpha).permute(2, 0, 1))
