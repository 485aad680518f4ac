"""Computes the kit's cases: `python -m conformance.numpy_port.kit WEIGHTS OUT`; then `check.py OUT` compares them."""

import json
import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from . import autoencoders, environment, layers, noise, spectrogram, unet
from .checkpoint import Params
from .codi import SHAPES, CoDi
from .losses import Losses, given, numbers, weight

KIT = Path(__file__).parents[1]
STEP = 1e-7  # a longer way passes kinks of the losses, such as those of a maximum


def times_of(name: str, h: np.ndarray) -> tuple[int, int]:
    """The times of the last axis of a map, or of its frames; and the frames."""
    return {"audio": (h.shape[-1], 1), "video": (8, 8)}.get(name, (0, 1))


def block(p, name: str, x, emb, context, env) -> np.ndarray:
    present = np.ones(env.shape[:2], bool)
    return unet.block(p, x, unet.Seen(emb, context, env, present, name == "audio", times_of(name, x)[1]))


def attention_to_others(p, name: str, x, env) -> np.ndarray:
    times, frames = {"audio": (4, 1), "video": (8, 8)}.get(name, (0, 1))  # in the middle of the U, 4 × 4 places
    return environment.attention_to_others(p, x, env, np.ones(env.shape[:2], bool), times, frames)


def denoise(p, name: str, z, t, cond, env=None) -> np.ndarray:
    return unet.denoise(p, name, z, t, cond, env, None if env is None else np.ones(env.shape[:2], bool))


def trajectory(
    model: CoDi, most: int, streams: list[str], prompts: list[str], given: list[str], weights: dict[str, float] | None,
    clocks: bool, samples: int, seed: int, steps: int | None, **stored: Any,
) -> dict[str, Any]:  # fmt: skip
    """What the prompts become, and some of the steps, each from the reference's own z.

    These are the first `most`, the jump of restart, and one with guidance.
    """
    data = {name: stored.get(f"x.{name}") for name in (*prompts, *given)}
    model.clocks = clocks
    own = model.joint(
        {name: [data[name]] for name in prompts}, streams, samples, weights, {name: data[name] for name in given}
    )
    made: dict[str, Any] = {"cond": own.cond} if prompts else {}
    made |= {f"heard.{i}": tokens for i, tokens in enumerate(own.heard)}
    made |= {f"held.{name}": tokens for name, tokens in own.held.items()}
    heard = [stored[f"heard.{i}"] for i in range(len(own.heard))]
    held = {name: stored[f"held.{name}"] for name in given}
    joint = model.loop(model, tuple(streams), stored.get("cond"), heard, held, steps)
    seeds = [noise.sample_seed(seed, k) for k in range(samples)]
    generators = {name: [noise.generator(s, name, "steps") for s in seeds] for name in streams}
    z_of: dict[str, list] = {name: [] for name in streams}
    before: dict[str, np.ndarray] = {}
    tried = {*range(most), joint.samplers[streams[0]].jump, joint.steps - 2 if joint.is_stochastic else 0}
    for i in range(joint.steps):
        eps = {name: model.noise(generators[name], name) for name in streams if joint.is_stochastic}
        z = {name: np.full_like(stored[f"z.{name}"][i], np.nan) for name in streams}
        if i in tried:
            z, before = joint.step(i, {name: stored[f"z.{name}"][i] for name in streams}, eps, before)
        for name in streams:
            z_of[name].append(z[name])
    made |= {f"z.{name}": np.stack(z) for name, z in z_of.items()}
    for name in set(streams) - {"audio"}:
        x = model.decode(name, stored[f"z.{name}"][-1])
        made[f"x.{name}"] = x if name == "text" else np.round(255 * x).astype(np.uint8)
    return made


def training(titles: Collection[str] = ()) -> dict[str, Any]:
    """Of 3-training.json the terms of each loss, and its slope from two points, because NumPy has no gradients."""
    stored = json.loads((KIT / "3-training.json").read_text(encoding="utf-8"))
    tensors = {name: weight(name, *shape) for name, shape in stored["parameters"].items()}
    tensors |= {f"modalities.{m}.autoencoder.scale_factor": np.array(1.0) for m in ("image", "audio", "text")}
    tensors["temperature.log_scale"] = np.array(-np.log(0.07))
    found = {}
    for case in stored["cases"]:
        if titles and case["case"] not in titles:
            continue
        inputs = {key: given(key, x) for key, x in case["inputs"].items()}

        def terms(by: float, case=case, inputs=inputs) -> dict[str, float]:
            """The loss where the trained tensors are moved in their directions."""
            moved = {name: by * numbers(f"direction {name}", *tensors[name].shape) for name in case["gradient"]}
            there = tensors | {name: tensors[name] + step for name, step in moved.items()}
            losses = Losses(there, stored["config"], stored["vocabulary"], tensors)
            return {key: float(x) for key, x in getattr(losses, case["op"])(**case["options"], **inputs).items()}

        slope = (terms(STEP)["loss"] - terms(-STEP)["loss"]) / (2 * STEP)
        found[case["case"]] = {"terms": terms(0.0), "slope": slope}
    return found


def run(weights: str | Path, out: str | Path, most: int = 10**6, only: Collection[str] = ()) -> None:
    """All cases, or those of some operations or names; of a run the first `most` steps and two more."""
    model, out = CoDi(weights), Path(out)
    ops: dict[str, Callable[..., Any]] = {
        "prompt": lambda p, name, x: model.prompt(name, x),
        "encode": lambda p, name, x: model.encode(name, x),
        "decode": lambda p, name, z: model.decode(name, z),
        "tokens": lambda p, name, z, t: model.tokens(name, z, int(t[0])),
        "res_block": lambda p, name, x, emb: layers.res_block(p, x, emb),
        "transformer": lambda p, name, x: layers.transformer(p, x, final=False),
        "block": block,
        "attention_to_others": attention_to_others,
        "denoise": denoise,
        "log_mel": lambda p, name, x: spectrogram.log_mel(x),
        "decode_mel": lambda p, name, z: autoencoders.decode_audio(p, z),
        "griffin_lim": lambda p, name, x, rounds: spectrogram.griffin_lim(x, rounds),
        "steps": lambda p, name, **stored: trajectory(model, most, **stored),
    }
    hand_in(model.p, ops, out, only)
    if not only:
        (out / "training.json").write_text(json.dumps(training()), encoding="utf-8")


def hand_in(
    p: Params, ops: Mapping[str, Callable[..., Any]], out: Path, only: Collection[str] = (),
    names: Collection[str] = tuple(SHAPES),
) -> None:  # fmt: skip
    """Writes the outputs of the cases of some operations, those that are about some modalities alone.

    An operation is called with tensors, a modality, and the inputs and options of a case.
    """
    out.mkdir(parents=True, exist_ok=True)
    for number, case in enumerate(json.loads((KIT / "manifest.json").read_text(encoding="utf-8"))):
        stored, options = np.load(KIT / case["file"]), dict(case["options"])
        name, given_or_said = options.pop("modality", ""), {*options.get("prompts", ()), *options.get("given", ())}
        about = {name, *case["prefix"].split(".")[1:2], *options.get("streams", ()), *given_or_said} - {""}
        if case["op"] not in ops or not about <= set(names) or only and not {case["op"], case["case"]} & set(only):
            continue
        inputs = {key: stored[f"{case['case']}/in/{key}"] for key in case["inputs"]}
        inputs |= {key[3:]: text for key, text in case["texts"].items() if key.startswith("in/")}
        inputs |= {f"x.{m}": np.load(KIT / "1-modules.npz")[f"C_{m}/in/x"] for m in given_or_said - {"text"}}
        made = ops[case["op"]](Params(p.tensors, case["prefix"]), name, **inputs, **options)
        for key, value in (made if isinstance(made, dict) else {"y": made}).items():
            if isinstance(value, list):
                (out / f"{number:02d}.{key}.json").write_text(json.dumps(value), encoding="utf-8")
            else:
                np.save(out / f"{number:02d}.{key}.npy", value)


if __name__ == "__main__":
    run(*sys.argv[1:3], *map(int, sys.argv[3:4]))
