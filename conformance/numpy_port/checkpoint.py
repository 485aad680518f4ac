"""A checkpoint: model.safetensors and config.json. `python -m conformance.numpy_port.checkpoint FOLDER` lists it."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

KINDS = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "I64": "<i8", "U8": "<u1"}


class Params:
    """Named tensors below a prefix: p("conv1").weight is the tensor prefix + "conv1.weight"."""

    def __init__(self, tensors: dict[str, np.ndarray], prefix: str = "") -> None:
        self.tensors, self.prefix = tensors, prefix

    def __call__(self, name: str | int) -> "Params":
        return Params(self.tensors, f"{self.prefix}{name}.")

    def __getattr__(self, name: str) -> np.ndarray:
        return self.tensors[self.prefix + name]

    def has(self, name: str) -> bool:
        """Whether there is a tensor of this name, or one below it."""
        return any(key == self.prefix + name or key.startswith(f"{self.prefix}{name}.") for key in self.tensors)

    def count(self, name: str) -> int:
        """How many numbered parts there are below a name."""
        n = 0
        while self.has(f"{name}.{n}"):
            n += 1
        return n


def read_tensors(path: str | Path) -> dict[str, np.ndarray]:
    """A safetensors file: eight bytes for the length of a JSON header, the header, and the tensors' bytes."""
    data = Path(path).read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            start, end = (8 + size + at for at in entry["data_offsets"])
            tensors[name] = np.frombuffer(data[start:end], KINDS[entry["dtype"]]).reshape(entry["shape"])
    return tensors


def read_checkpoint(folder: str | Path, dtype: type = np.float32) -> tuple[Params, dict[str, Any]]:
    """The weights as `dtype`, and config.json. What is stored in half precision is computed in single or double."""
    tensors = {name: x.astype(dtype) for name, x in read_tensors(Path(folder) / "model.safetensors").items()}
    return Params(tensors), json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))["config"]


def listed(folder: str | Path) -> list[str]:
    """A line for each tensor: its name, its shape, and its mean absolute value."""
    tensors = read_checkpoint(folder, np.float64)[0].tensors
    return [f"{name} {list(x.shape)} {np.abs(x).mean():.6g}" for name, x in sorted(tensors.items())]


if __name__ == "__main__":
    print("\n".join(listed(sys.argv[1])))
