"""Writes checkpoint.json: the tensors of a checkpoint and what is generated with them, for later versions to repeat.

It stores the names and shapes of the tensors. Their values follow from the names.
    git archive COMMIT | tar -x -C old
    PYTHONPATH=old python tests/golden/make_checkpoint.py > tests/golden/checkpoint.json
"""

import json
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from codi_minimal import CoDi
from codi_minimal.recipes import CASCADE, PAPER, SHIPPED

KEPT = 12  # numbers of each sample
AUDIO = torch.sin(torch.arange(8192) / 7) / 2
CASES: dict[str, dict[str, Any]] = {  # arguments of `generate_latents`
    "default": {"outputs": ["text", "image", "audio", "video"], "steps": 2},
    "prompted": {"prompts": {"text": "a red seven", "audio": AUDIO}, "outputs": ["image", "video"], "steps": 2},
    "one": {"prompts": {"image": torch.full((3, 32, 32), 0.5)}, "outputs": ["text"], "steps": 4},
    "paper": {"prompts": {"audio": AUDIO}, "outputs": ["video", "image"], "steps": 2, "recipe": PAPER},
    "cascade": {"outputs": ["image", "audio"], "steps": 3, "recipe": CASCADE},
    "DDPM": {"prompts": {"text": "two"}, "outputs": ["image", "audio"], "steps": 3, "sampler": "ddpm"},
    "pooled": {"outputs": ["text", "image", "audio"], "steps": 3, "recipe": replace(SHIPPED, wiring="pooled")},
    "apart": {"prompts": {"audio": AUDIO}, "outputs": ["text", "image"], "steps": 2, "joint": False},
    "given": {"outputs": ["text", "audio"], "given": {"image": torch.full((3, 32, 32), 0.25)}, "steps": 2},
}


def tensor(name: str, shape: Sequence[int]) -> torch.Tensor:
    """A weight of a size that keeps activations near one: normal numbers, seeded by the name."""
    x = torch.randn(tuple(shape), generator=torch.Generator().manual_seed(zlib.crc32(name.encode())))
    if len(shape) > 1:
        return x / (x[0].numel()) ** 0.5
    return 1 + 0.1 * x if name.endswith(("weight", "scale_factor")) else 0.1 * x


def write(folder: Path, content: Mapping[str, Any], shapes: Mapping[str, Sequence[int]]) -> None:
    """A checkpoint in float16; `content` is that of config.json."""
    save_file({name: tensor(name, shape).half() for name, shape in shapes.items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(content), encoding="utf-8")


def generated(folder: Path) -> dict[str, dict[str, list[float]]]:
    """A few numbers of each latent of the first sample, from all over it, by case."""
    model, found = CoDi.from_pretrained(folder, device="cpu"), {}
    for case, settings in CASES.items():
        picked = {
            m: z[0].flatten()[:: max(1, z[0].numel() // KEPT)] for m, z in model.generate_latents(**settings).items()
        }
        found[case] = {m: [round(x, 5) for x in values.tolist()] for m, values in picked.items()}
    return found


def main() -> None:
    from codi_minimal.config import preset
    from codi_minimal.data import VOCABULARY

    with tempfile.TemporaryDirectory() as place:
        folder, model = Path(place), CoDi(preset("tiny"), VOCABULARY)
        model.save_pretrained(folder)
        content = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        shapes = {name: list(x.shape) for name, x in model.state_dict().items()}
        write(folder, content, shapes)
        made = generated(folder)
    # indent=0 would put every number of a shape on a line of its own
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(shape)}" for name, shape in shapes.items())
    print(f'{{"content": {json.dumps(content)},\n"latents": {json.dumps(made)},\n"tensors": {{\n{lines}\n}}}}')


if __name__ == "__main__":
    main()
