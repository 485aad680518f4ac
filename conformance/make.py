"""Makes the vectors of the networks from the model: 1-modules.npz, 2-steps.npz, 2-steps-more.npz and manifest.json.

`python -m conformance.make` writes them again; it needs torch. Every case is fed the reference's own input, taken by
forward hooks, so that a fault shows in the case that has it.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn

from codi_minimal import CoDi
from codi_minimal.alignment import Environment
from codi_minimal.autoencoders.vocoder import GriffinLim
from codi_minimal.data import load
from codi_minimal.data.world import World
from codi_minimal.recipe import find_recipe
from codi_minimal.sample import Shared

FOLDER = Path(__file__).parent
FILES = ("1-modules.npz", "2-steps.npz", "2-steps-more.npz")
NAMES = ("text", "image", "audio", "video")
CAPTION = "a red seven sliding left"
PLAIN, STEP, PICTURE, LOG_MEL = 5e-6, 2e-5, 1e-4, 2e-5  # of the largest value
ROUNDS = {0: 2e-5, 1: 1e-3, 2: 2e-3}  # Griffin and Lim's rounds, and the tolerance after each
SEED = 3


@dataclass(frozen=True)
class Scenario:
    """Prompts → outputs, given streams, weights of prompts, how many samples, the recipe, and steps if not its own."""

    prompts: tuple[str, ...]
    outputs: tuple[str, ...]
    given: tuple[str, ...] = ()
    weights: Mapping[str, float] | None = None
    n: int = 1
    recipe: str = "shipped"
    steps: int | None = None
    file: str = "2-steps.npz"


MORE = "2-steps-more.npz"
SCENARIOS = {
    "text to image": Scenario(("text",), ("image",)),
    "nothing to image and text": Scenario((), ("image", "text")),
    "nothing to audio and video": Scenario((), ("audio", "video")),
    "nothing to all four": Scenario((), NAMES),
    "image, audio and video to image and audio": Scenario(("image", "audio", "video"), ("image", "audio")),
    "PAPER, audio to text and image": Scenario(("audio",), ("text", "image"), recipe="paper", file=MORE),
    "a given image to text and audio": Scenario((), ("text", "audio"), given=("image",), steps=8, file=MORE),
    "text to two images and captions": Scenario(("text",), ("text", "image"), n=2, steps=8, file=MORE),
    "image and audio of unequal weight to text": Scenario(
        ("image", "audio"), ("text",), weights={"image": 0.3, "audio": 1.0}, file=MORE
    ),
}


class Kit:
    """Cases, and the arrays that they name."""

    def __init__(self) -> None:
        self.cases: list[dict[str, Any]] = []
        self.arrays: dict[str, dict[str, np.ndarray]] = {name: {} for name in FILES}

    def add(
        self, name: str, op: str, prefix: str, inputs: Mapping[str, Any], outputs: Mapping[str, Any],
        tolerance: float = PLAIN, after: Sequence[str] = (), file: str = "1-modules.npz", **more: Any,
    ) -> None:  # fmt: skip
        """A case: tensors are stored under "case/in/NAME" and "case/out/NAME", all else is in the manifest."""
        entry: dict[str, Any] = {"case": name, "op": op, "prefix": prefix, "file": file, "tolerance": tolerance}
        entry |= {"after": list(after), "inputs": [], "outputs": [], "options": dict(more), "texts": {}}
        for side, values in (("in", inputs), ("out", outputs)):
            for key, value in values.items():
                if isinstance(value, Tensor):
                    self.arrays[file][f"{name}/{side}/{key}"] = value.detach().cpu().numpy()
                    entry["inputs" if side == "in" else "outputs"].append(key)
                elif value is not None:
                    entry["texts"][f"{side}/{key}"] = value
        self.cases.append(entry)

    def write(self, folder: Path) -> None:
        for name, arrays in self.arrays.items():
            np.savez_compressed(folder / name, **arrays)
        lines = ",\n".join(json.dumps(case) for case in self.cases)
        (folder / "manifest.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")


@contextmanager
def listening(module: nn.Module) -> Iterator[list[tuple[tuple, Any]]]:
    """The arguments and the results of the calls of a module."""
    calls: list[tuple[tuple, Any]] = []
    hook = module.register_forward_hook(lambda _, args, result: calls.append((args, result)))
    try:
        yield calls
    finally:
        hook.remove()


def modules(kit: Kit, model: CoDi, scene: Mapping[str, Any]) -> None:
    """C_m, E_m, D_m, V_m and ε_m of each modality, and parts of V_m and ε_m."""
    cond = model.encode_prompt("text", [CAPTION])
    for name, m in model.modalities.items():
        x, prefix = scene[name], f"modalities.{name}."
        own = f"modalities.{'image' if m.costly else name}.autoencoder."  # videos have that of images
        z0 = m.encode(x)
        kit.add(f"C_{name}", "prompt", f"{prefix}prompt.", {"x": x}, {"y": model.encode_prompt(name, x)}, modality=name)
        kit.add(f"E_{name}", "encode", own, {"x": x}, {"y": z0}, modality=name)
        decoded = m.autoencoder.decode(z0)
        if name != "audio":  # the wave of a sound is chaotic: the log-mel, and few rounds, are compared
            kit.add(f"D_{name}", "decode", own, {"z": z0}, {"y": decoded}, PICTURE, [f"E_{name}"], modality=name)
        t, z = torch.tensor([500]), m.initial_noise([SEED])
        env_parts = {o: other.environment(other.initial_noise([SEED]), t) for o, other in model.modalities.items()}
        with listening(m.environment.res) as residual, listening(m.environment.transformer) as transformer:
            tokens = m.environment(z, t)
        kit.add(f"V_{name}", "tokens", f"{prefix}environment.", {"z": z, "t": t}, {"y": tokens}, modality=name)
        ((h, emb), y) = residual[0]
        kit.add(f"V_{name}, residual block", "res_block", f"{prefix}environment.res.", {"x": h, "emb": emb}, {"y": y})
        ((h,), y) = transformer[0]
        kit.add(f"V_{name}, transformer", "transformer", f"{prefix}environment.transformer.", {"x": h}, {"y": y})
        env = Environment.of([tokens for o, tokens in sorted(env_parts.items()) if o != name])
        net, block = m.denoiser, m.denoiser.middle
        with listening(block) as whole, listening(block.transformer.environment_attention) as others:
            v = net(z, t, cond, env)
        given = {"z": z, "t": t, "cond": cond, "env": env.tokens}
        ((h, emb, context, _), y) = whole[0]
        parts = {"x": h, "emb": emb, "context": context, "env": env.tokens}
        block_prefix = f"{prefix}denoiser.middle."
        kit.add(f"ε_{name}, middle block", "block", block_prefix, parts, {"y": y}, modality=name)
        ((h, _), y) = others[0]
        at = f"{block_prefix}transformer.environment_attention."
        kit.add(f"ε_{name}, attention to others", "attention_to_others", at, {"x": h, "env": env.tokens}, {"y": y},
                modality=name)  # fmt: skip
        alone = {"z": z, "t": t, "cond": cond}
        kit.add(
            f"ε_{name}, no other stream", "denoise", f"{prefix}denoiser.", alone, {"y": net(z, t, cond)}, modality=name
        )
        before = [f"ε_{name}, no other stream", f"ε_{name}, middle block", f"V_{name}"]
        kit.add(f"ε_{name}", "denoise", f"{prefix}denoiser.", given, {"y": v}, after=before, modality=name)


def sounds(kit: Kit, model: CoDi, wave: Tensor) -> None:
    """Log-mels, and Griffin and Lim's rounds."""
    ae = model.modalities["audio"].autoencoder
    z0, own = ae.encode(wave), "modalities.audio.autoencoder."
    kit.add("log-mel", "log_mel", "", {"x": wave}, {"y": ae.mel(wave)}, LOG_MEL)
    mel = ae.decode_mel(z0)
    kit.add("D_audio, log-mel", "decode_mel", own, {"z": z0}, {"y": mel}, after=["E_audio"])
    for rounds, tolerance in ROUNDS.items():
        made = GriffinLim(rounds)(mel)
        kit.add(f"wave, {rounds} rounds", "griffin_lim", "", {"x": mel}, {"y": made}, tolerance, rounds=rounds)


def trajectories(kit: Kit, model: CoDi, scene: Mapping[str, Any]) -> None:
    """Of each scenario z of all streams before every step and after the last, C, and tokens that stay as they are."""
    for title, asked in SCENARIOS.items():
        seen: list[Shared] = []
        z: list[dict[str, Tensor]] = []

        def watch(streams: Mapping[str, Any], z=z) -> None:
            z.append({name: stream.z.clone() for name, stream in streams.items()})

        prompts, given = ({name: scene[name] for name in names} for names in (asked.prompts, asked.given))
        how = {
            "weights": asked.weights,
            "given": given or None,
            "num_samples": asked.n,
            "steps": asked.steps,
            "recipe": asked.recipe,
        }
        with recorded(seen):
            final = model.generate_latents(prompts, asked.outputs, seed=SEED, progress=watch, **how)
        start = {name: torch.cat([model.noise_of(SEED, k)[name] for k in range(asked.n)]) for name in asked.outputs}
        z = [start, *z]
        assert all(torch.equal(z[-1][name], final[name]) for name in asked.outputs)
        inputs: dict[str, Any] = {f"z.{name}": torch.stack([at[name] for at in z]) for name in asked.outputs}
        inputs["cond"] = seen[0].cond
        inputs |= {f"heard.{i}": tokens for i, tokens in enumerate(seen[0].tokens)}
        inputs |= {f"x.{name}": x for name, x in prompts.items() if isinstance(x, list)}  # others: those of C_NAME
        for name, x in given.items():
            m = model.modalities[name]
            inputs[f"held.{name}"] = m.environment(m.encode(x), torch.tensor([0]))
        made = {name: model.decode(name, final[name]) for name in asked.outputs if name != "audio"}
        results = {f"x.{name}": x if isinstance(x, list) else (x * 255).round().byte() for name, x in made.items()}
        options = {"streams": asked.outputs, "seed": SEED, "prompts": asked.prompts, "given": asked.given}
        options |= {"weights": asked.weights, "samples": asked.n, "steps": asked.steps}
        options["clocks"] = "prompt_clocks" in {addition.name for addition in find_recipe(asked.recipe).additions}
        options = {key: list(x) if isinstance(x, tuple) else x for key, x in options.items()}
        after = [f"ε_{name}" for name in asked.outputs]
        kit.add(title, "steps", "", inputs, results, STEP, after, asked.file, **options)


@contextmanager
def recorded(seen: list[Shared]) -> Iterator[None]:
    """Remembers every `Shared` that is made."""
    init = Shared.__init__

    def remembering(self: Shared, *args: Any, **options: Any) -> None:
        init(self, *args, **options)
        seen.append(self)

    Shared.__init__ = remembering
    try:
        yield
    finally:
        Shared.__init__ = init


@torch.no_grad()
def make(folder: Path = FOLDER) -> None:
    """Writes all files to a folder."""
    torch.set_num_threads(1)
    model, kit = CoDi.from_pretrained(device="cpu"), Kit()
    with patch.dict(os.environ):
        os.environ.pop("CODI_DATA", None)  # the built-in sample is the same everywhere
        _, scene = World(load(hub=False)).sample(1, torch.Generator().manual_seed(0))
    modules(kit, model, scene)
    sounds(kit, model, scene["audio"])
    trajectories(kit, model, scene)
    kit.write(folder)


if __name__ == "__main__":
    make()
