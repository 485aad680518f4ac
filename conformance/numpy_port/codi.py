"""A checkpoint as four modalities, each with C_m, E_m, D_m, V_m and ε_m; any prompts to any outputs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

from . import autoencoders, environment, noise, prompts, spectrogram, tokenizer, unet
from .checkpoint import Params, read_checkpoint
from .joint import Joint

SHAPES = {"text": (8, 8), "image": (4, 8, 8), "audio": (8, 8, 8), "video": (8, 4, 8, 8)}  # of latents
CLOCKED = ("audio", "video")


class CoDi:
    """A checkpoint, with the recipe that its config holds."""

    loop = Joint  # the JAX port has its own

    def __init__(self, folder: str | Path, dtype: type = np.float32) -> None:
        self.p, config = read_checkpoint(folder, dtype)
        self.dtype, self.recipe, model = dtype, config["inference"], config["config"]["model"]
        self.T, self.d, self.max_words, self.vocabulary = (
            model["T"],
            model["d"],
            model["max_words"],
            config["vocabulary"],
        )
        self.clocks = any(addition["addition"] == "prompt_clocks" for addition in self.recipe["additions"])

    def part(self, name: str, kind: str) -> Params:
        """The tensors of one part of a modality; videos have the autoencoder of images."""
        return self.p("modalities")("image" if (name, kind) == ("video", "autoencoder") else name)(kind)

    def prepared(self, name: str, data: Any) -> ndarray:
        return tokenizer.encode(data, self.vocabulary, self.max_words) if name == "text" else data.astype(self.dtype)

    def prompt(self, name: str, data: Any) -> ndarray:
        """C_m: (b, d)."""
        return getattr(prompts, f"encode_{name}")(self.part(name, "prompt"), self.prepared(name, data))

    def encode(self, name: str, data: Any) -> ndarray:
        """E_m: z_0."""
        return getattr(autoencoders, f"encode_{name}")(self.part(name, "autoencoder"), self.prepared(name, data))

    def decode(self, name: str, z: ndarray) -> Any:
        """D_m: pictures and clips in [0, 1], waves, captions."""
        made = getattr(autoencoders, f"decode_{name}")(self.part(name, "autoencoder"), z)
        if name == "text":
            return [tokenizer.decode(ids, self.vocabulary) for ids in made]
        return spectrogram.griffin_lim(made) if name == "audio" else made

    def tokens(self, name: str, z: ndarray, t: int) -> ndarray:
        """V_m(z_t, t)."""
        return environment.tokens(self.part(name, "environment"), name, z, np.full(len(z), t))

    def predict(self, name: str, z: ndarray, t: int, cond: ndarray | None, env: ndarray | None, g: float) -> ndarray:
        """ε_m with guidance: without prompt and environment, and with both."""
        cond_or_not = np.zeros((len(z), self.d), self.dtype) if cond is None else cond

        def net(share: float) -> ndarray:
            there = None if env is None else np.full(env.shape[:2], share > 0)
            seen = None if env is None else share * env
            return unet.denoise(
                self.part(name, "denoiser"), name, z, np.full(len(z), t), share * cond_or_not, seen, there
            )

        if g == 1 or (cond is None and env is None):
            return net(1.0)
        without = net(0.0)
        return without + g * (net(1.0) - without)

    def generate(
        self, asked: Mapping[str, Sequence[Any]], outputs: Sequence[str], seed: int = 0, b: int = 1,
        weights: Mapping[str, float] | None = None, given: Mapping[str, Any] | None = None, steps: int | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        """b samples of any outputs. Each modality in `asked` has a list of prompts; a prompt is a batch of one or of b.

        `weights`: of the prompts' modalities. `given`: batches that are held as streams at t = 0.
        """
        seeds = [noise.sample_seed(seed, k) for k in range(b)]
        joint = self.joint(asked, outputs, b, weights, given, steps)
        z = {name: self.noise([noise.generator(s, name) for s in seeds], name) for name in outputs}
        generators = {name: [noise.generator(s, name, "steps") for s in seeds] for name in outputs}
        before: dict[str, ndarray] = {}
        for i in range(joint.steps):
            eps = {name: self.noise(generators[name], name) for name in outputs if joint.is_stochastic}
            z, before = joint.step(i, z, eps, before)
        return {name: self.decode(name, z[name]) for name in outputs}

    def joint(self, asked: Mapping, outputs: Sequence[str], b: int, weights=None, given=None, steps=None) -> Joint:
        """What prompts and given streams are for all steps: C, and tokens that everybody sees."""
        found = [(name, batch) for name in sorted(asked) for batch in asked[name]]
        shares = [(weights or {}).get(name, 1.0) / len(asked[name]) for name, _ in found]
        cond = prompts.mix([self.prompt(*prompt) for prompt in found], shares) if found else None
        heard = []
        for (name, batch), share in zip(found, shares, strict=True):
            if self.clocks and name in CLOCKED and share:  # what the prompt space lacks: when things happen
                heard.append(self.tokens(name, self.encode(name, batch), 0)[:, -environment.TIMES :])
        held = {name: self.tokens(name, self.encode(name, data), 0) for name, data in (given or {}).items()}
        wide = [None if x is None else np.broadcast_to(x, (b, *x.shape[1:])) for x in (cond, *heard, *held.values())]
        held = dict(zip(held, wide[len(wide) - len(held) :], strict=True))
        return self.loop(self, tuple(outputs), wide[0], wide[1 : 1 + len(heard)], held, steps)

    def noise(self, generators: Sequence[noise.Generator], name: str) -> ndarray:
        """One sample from each generator."""
        return np.stack([g.normal(SHAPES[name], self.dtype) for g in generators])
