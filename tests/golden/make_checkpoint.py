"""Writes checkpoint.json: what a checkpoint of an earlier version holds, and what that version generated with it.

It runs the earlier code, and stores the names and shapes of its tensors. Their values follow from the names.
    git archive ae97082 | tar -x -C old
    PYTHONPATH=old python tests/golden/make_checkpoint.py > tests/golden/checkpoint.json
"""

import json
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file

COMPUTED = (".mel.mel_scale.fb", ".mel.spectrogram.window")  # constants that the earlier version stored
KEPT = 12  # numbers of each sample
AUDIO = torch.sin(torch.arange(8192) / 7) / 2
CASES = {  # the arguments of the earlier `generate`; see tests/test_earlier_checkpoint.py for the recipes
    "default": {"outputs": ["text", "image", "audio", "video"], "steps": 2},
    "silent text": {"outputs": ["image", "audio"], "steps": 3, "seed": 3},
    "prompted": {"prompts": {"text": "a red seven", "audio": AUDIO}, "outputs": ["image", "video"], "steps": 2},
    "one": {"prompts": {"image": torch.full((3, 32, 32), 0.5)}, "outputs": ["text"]},
    "at once": {"outputs": ["image", "audio"], "steps": 3, "stagger": 0.0, "bridge": False, "sampler": "ddpm"},
    "no arrivals": {"prompts": {"text": "two"}, "outputs": ["image", "audio"], "steps": 3, "arrivals": False},
    "no prompt streams": {"prompts": {"audio": AUDIO}, "outputs": ["video"], "steps": 2, "prompt_streams": False},
    "drop": {"outputs": ["text", "image"], "steps": 4, "stagger": 0.5, "env_guidance": "drop"},
    "pooled": {"outputs": ["text", "image", "audio"], "steps": 3, "stagger": 0.5, "wiring": "pooled"},
    "apart": {"prompts": {"audio": AUDIO}, "outputs": ["text", "image"], "steps": 2, "joint": False},
}


def tensor(name: str, shape: Sequence[int]) -> torch.Tensor:
    """A weight of a size that keeps activations near one: normal numbers, seeded by the name."""
    x = torch.randn(tuple(shape), generator=torch.Generator().manual_seed(zlib.crc32(name.encode())))
    if len(shape) > 1:
        return x / (x[0].numel()) ** 0.5
    return 1 + 0.1 * x if name.endswith(("weight", "scale_factor")) else 0.1 * x


def write(folder: Path, config: dict, shapes: Mapping[str, Sequence[int]], constants: dict[str, torch.Tensor]) -> None:
    """A checkpoint in float16, as the earlier version wrote it."""
    tensors = {name: constants.get(name, tensor(name, shape)).half().contiguous() for name, shape in shapes.items()}
    save_file(tensors, folder / "model.safetensors")
    content = {"format_version": 1, "config": config}
    (folder / "config.json").write_text(json.dumps(content), encoding="utf-8")


def rounded(latents: Mapping[str, torch.Tensor]) -> dict[str, list[float]]:
    """A few numbers of each sample, from all over it."""
    picked = {name: z[0].flatten()[:: max(1, z[0].numel() // KEPT)] for name, z in latents.items()}
    return {name: [round(x, 5) for x in values.tolist()] for name, values in picked.items()}


def main() -> None:
    from codi_minimal import CoDi
    from codi_minimal.config import preset
    from codi_minimal.data import VOCABULARY

    model = CoDi(preset("tiny"), VOCABULARY)
    state = model.state_dict()
    config = {"config": model.config.to_dict(), "vocabulary": model.vocabulary}
    shapes = {name: list(x.shape) for name, x in state.items()}
    with tempfile.TemporaryDirectory() as folder:
        constants = {name: x for name, x in state.items() if name.endswith(COMPUTED)}
        write(Path(folder), config, shapes, constants)
        model = CoDi.from_pretrained(folder, device="cpu")
    made = {case: rounded(model.generate(**settings, decode=False)) for case, settings in CASES.items()}
    # indent=0 would put every number of a shape on a line of its own
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(shape)}" for name, shape in shapes.items())
    print(f'{{"config": {json.dumps(config)},\n"latents": {json.dumps(made)},\n"tensors": {{\n{lines}\n}}}}')


if __name__ == "__main__":
    main()
