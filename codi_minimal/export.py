"""Every network of a model as an ONNX file, with a manifest: where a program in another language can start.

What is between the networks (tokenising, mixing prompts, the sampler, and from a log-mel to a wave) is left to that
program; conformance/SPEC.md says how. Needs the extra `onnx`.
"""

from __future__ import annotations

import copy
import json
import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim
from torch.nn import functional as F
from tqdm import tqdm

from codi_minimal.alignment.environment import CLOCK, Environment
from codi_minimal.autoencoders.mel import CENTRE, FLOOR, SPREAD
from codi_minimal.autoencoders.text import TextVAE
from codi_minimal.checkpoint import atomic_write
from codi_minimal.codi import CoDi
from codi_minimal.inputs import TextData
from codi_minimal.modality import Modality
from codi_minimal.prompts import PromptEncoder
from codi_minimal.spectrogram import HOP_LENGTH, N_FFT, N_FRAMES, N_MELS, SAMPLE_RATE, WIN_LENGTH
from codi_minimal.tokenizer import BOS, EOS, PAD, UNK

OPSET = 20  # the first that has GELU
MANIFEST = "manifest.json"
MEANINGS = {  # of inputs and outputs, by name
    "x": "data, see constants.data",
    "ids": "a caption: BOS, words, EOS, and PAD to the end",
    "prefix": "the words so far, BOS first; at most constants.length - 1",
    "z": "scaled latents; of encoder and decoder z_0, else z_t",
    "t": "zero-based time, 0 to T - 1",
    "cond": "C, a mixture of embeddings, of unit norm; zeros: no prompt",
    "tokens": "environment tokens, those of several streams one after the other",
    "embedding": "C of one prompt, of unit norm",
    "log_mel": "log-mel spectrogram, see constants.log_mel; a wave is made by the host",
    "scores": "of each word to be the next one; -inf: never",
    "prediction": "v or epsilon, see constants.prediction",
}
AXES = {"tokens": "tokens", "prefix": "words"}  # inputs whose second axis is free, and its name; the first is batch


@dataclass(frozen=True)
class Network:
    """One file: `call(module, *inputs)` becomes a graph.

    Args:
        file: where it is in the folder, as "image/denoiser.onnx".
        meaning: what it computes.
        module: whose weights it has.
        call: (module, *inputs) → output (b, ...).
        inputs: an example of each input (2, ...) by its name, a key of `MEANINGS`. The values do not matter.
        output: its name, another key.
    """

    file: str
    meaning: str
    module: nn.Module
    call: Callable[..., Tensor]
    inputs: dict[str, Tensor]
    output: str


class Called(nn.Module):
    """A module of which another function than `forward` is called: (*inputs) → call(module, *inputs)."""

    def __init__(self, module: nn.Module, call: Callable[..., Tensor]):
        super().__init__()
        self.module, self.call = module, call

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.call(self.module, *inputs)


def embed(prompt: PromptEncoder, data: Tensor) -> Tensor:
    """C_m (b, d) of unit norm, without `check`: a graph cannot look at values."""
    return F.normalize(prompt.embed(data), dim=-1)


def next_word(text: TextVAE, z: Tensor, prefix: Tensor) -> Tensor:
    """Scores "b v" of the word after `prefix` "b n", for scaled latents "b c l"."""
    scores = text.logits(z / text.scale_factor, prefix)[:, -1]
    scores[:, [PAD, BOS, UNK]] = -torch.inf  # as in `decode_raw`
    return scores


def beside(denoiser: nn.Module, z: Tensor, t: Tensor, cond: Tensor, tokens: Tensor) -> Tensor:
    """ε_m(z_t, t, C, V) (b, *latent_shape) with environment tokens (b, n, d_env), all of them visible."""
    return denoiser(z, t, cond, Environment.of([tokens]))


def networks(model: CoDi) -> Iterator[Network]:
    """C_m, E_m, D_m, V_m and, twice, ε_m of every modality: without and with environment tokens."""
    c, call = model.config.model, nn.Module.__call__
    for name, m in model.modalities.items():
        z, t = torch.zeros(2, *m.latent_shape), torch.zeros(2, dtype=torch.long)
        yield from _of_data(m, z)
        at, others = {"z": z, "t": t}, {"tokens": torch.zeros(2, 3, c.d_env)}
        yield Network(f"{name}/environment.onnx", "environment encoder V", m.environment, call, at, "tokens")
        asked, file = at | {"cond": torch.zeros(2, c.d)}, f"{name}/denoiser_with_environment.onnx"
        yield Network(f"{name}/denoiser.onnx", "denoiser ε of one stream", m.denoiser, call, asked, "prediction")
        yield Network(file, "denoiser ε beside other streams", m.denoiser, beside, asked | others, "prediction")


def _of_data(m: Modality, z: Tensor) -> Iterator[Network]:
    """C_m, E_m and D_m, which are about data: numbers, or the ids of words."""
    ae, (prompt, encoder, decoder) = m.autoencoder, (f"{m.name}/{f}.onnx" for f in ("prompt", "encoder", "decoder"))
    x, given = {"x": torch.zeros(2, *m.data.shape)}, {"z": z}
    call, title, made = type(ae).decode, "decoder D", "x"
    if isinstance(m.data, TextData):
        x = {"ids": torch.zeros(2, ae.tokenizer.length, dtype=torch.long)}
        given["prefix"] = torch.zeros(2, 3, dtype=torch.long)
        call, title, made = next_word, "decoder D, one word", "scores"
    elif hasattr(ae, "decode_mel"):  # the inverse STFT of a vocoder is no operation of ONNX
        call, title, made = type(ae).decode_mel, "decoder D, to the log-mel", "log_mel"
    yield Network(prompt, "prompt encoder C", m.prompt, embed, x, "embedding")
    yield Network(encoder, "encoder E, the mean", ae, type(ae).encode, x, "z")
    yield Network(decoder, title, ae, call, given, made)


def write(network: Network, path: Path) -> dict[str, Any]:
    """Writes a network to a file, whose folder is made; returns its entry in the manifest."""
    from onnxscript import ir, optimizer

    batch = Dim("batch", min=1)
    shapes = tuple({0: batch} | ({1: Dim(AXES[name], min=1)} if name in AXES else {}) for name in network.inputs)
    with torch.no_grad(), warnings.catch_warnings():
        # torch says so of each input after the first, because all have the same batch
        warnings.filterwarnings("ignore", "# The axis name: batch will not be used", UserWarning)
        program = torch.onnx.export(
            Called(network.module, network.call).eval(),
            tuple(network.inputs.values()),
            input_names=list(network.inputs),
            output_names=[network.output],
            dynamic_shapes=(shapes,),
            opset_version=OPSET,
            dynamo=True,
            optimize=False,  # it takes as long as all the rest; constants and repetitions go below
            external_data=False,
            verbose=False,
        )
    # to fold a Split is not possible, and would be told on stderr
    optimizer.fold_constants(program.model, should_fold=lambda node: False if node.op_type == "Split" else None)
    passes = ir.passes.common
    passes.RemoveUnusedNodesPass()(program.model)
    passes.CommonSubexpressionEliminationPass()(program.model)
    passes.ClearMetadataAndDocStringPass()(program.model)  # where the source lies on this machine
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, program.model_proto.SerializeToString())
    inputs, outputs = program.model.graph.inputs, program.model.graph.outputs
    return {"meaning": network.meaning, "inputs": [*map(_entry, inputs)], "outputs": [*map(_entry, outputs)]}


def _entry(value: Any) -> dict[str, Any]:
    """Name, shape (free axes by name), type and meaning of an input or output of a graph."""
    shape = [n if isinstance(n, int) else str(n) for n in value.shape]
    return {"name": value.name, "shape": shape, "dtype": value.dtype.numpy().name, "meaning": MEANINGS[value.name]}


def constants(model: CoDi) -> dict[str, Any]:
    """What a host program needs beside the networks; plain JSON types."""
    c, text = model.config.model, model.modalities["text"].autoencoder.tokenizer
    data = {name: m.data for name, m in model.modalities.items() if not isinstance(m.data, TextData)}
    return {
        "T": c.T,
        "prediction": c.prediction,
        "latents": {name: list(m.latent_shape) for name, m in model.modalities.items()},
        "data": {name: {"shape": list(d.shape), "low": d.low, "high": d.high} for name, d in data.items()},
        "words": list(text.words),
        "length": text.length,
        "special": {"pad": PAD, "bos": BOS, "eos": EOS, "unk": UNK},
        "clock": CLOCK,
        "log_mel": {
            "rate": SAMPLE_RATE, "fft": N_FFT, "window": WIN_LENGTH, "hop": HOP_LENGTH, "bands": N_MELS,
            "frames": N_FRAMES, "floor": FLOOR, "centre": CENTRE, "spread": SPREAD,
        },
        "alpha_bar": model.schedule.alpha_bar.tolist(),
    }  # fmt: skip


def check_export(folder: str | Path) -> Path:
    """The folder, with links followed. ValueError: something is in it. ImportError: the extra `onnx` is missing."""
    folder = Path(folder).resolve()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"expected a folder that is new or empty, got {str(folder)!r}")
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        if error.name not in ("onnx", "onnxscript"):
            raise
        raise ImportError("an export needs ONNX: pip install 'codi-minimal[onnx]'") from None
    return folder


def export(model: CoDi, folder: str | Path, progress: bool = False) -> Path:
    """Writes all `networks` of a model and the manifest, or nothing; returns the manifest's path.

    Args:
        model: stays as it is. Weights are written in float32.
        folder: new or empty. It appears when all is in it.
        progress: True shows a bar.

    Raises:
        ImportError, ValueError: see `check_export`.
    """
    folder = check_export(folder)
    model = copy.deepcopy(model).cpu().float().eval().requires_grad_(False)
    there = next(parent for parent in folder.parents if parent.exists())
    with TemporaryDirectory(prefix=".onnx-", dir=there) as temporary:
        made = Path(temporary, "made")
        bar = tqdm(list(networks(model)), desc="exporting", disable=not progress)
        files = {network.file: write(network, made / network.file) for network in bar}
        saved = {"config": model.config.to_dict(), "inference": model.recipe.to_dict()}
        content = {"opset": OPSET, "networks": files, "constants": constants(model), **saved}
        atomic_write(made / MANIFEST, f"{_lines(content)}\n".encode())
        folder.parent.mkdir(parents=True, exist_ok=True)
        if folder.exists():
            folder.rmdir()  # which is empty; not every system replaces one
        os.replace(made, folder)
    return folder / MANIFEST


def _lines(content: dict[str, Any], depth: int = 1) -> str:
    """JSON with a line for each value of the two outer levels."""
    each = (
        f"{'  ' * depth}{json.dumps(key)}: "
        + (_lines(value, 2) if depth < 2 and isinstance(value, dict) else json.dumps(value, ensure_ascii=False))
        for key, value in content.items()
    )
    return "{\n" + ",\n".join(each) + f"\n{'  ' * (depth - 1)}}}"
