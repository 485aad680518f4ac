"""CoDi: a dict of modalities that are prompted in any combination and generated in any combination."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from codi_minimal.checkpoint import Uninitialised, check_named, load_folder, load_into, local_folder, save_folder
from codi_minimal.config import MODALITIES, Config
from codi_minimal.device import best_device, sample_seed
from codi_minimal.diffusion import Schedule
from codi_minimal.hub import HubMixin
from codi_minimal.modality import Modality, build_modalities
from codi_minimal.prompts import mix
from codi_minimal.recipe import Recipe, find_recipe
from codi_minimal.sample import GivenStream, Shared, Stream, Watch, denoise, guided_by, make_samplers

from codi_minimal.inputs import (  # isort: skip
    check_count, check_flag, check_given, check_mapping, check_names, check_number, check_seeds, check_sizes,
    check_tensor, check_whole, join, per_output, slices, take,
)  # fmt: skip

SHIPPED_WEIGHTS = Path(__file__).parent / "weights" / "small"
P, R = ParamSpec("P"), TypeVar("R")


def with_arguments_of(f: Callable[P, Any]) -> Callable[[Callable[..., R]], Callable[P, R]]:
    """For a function that passes its arguments on to f: readers, `help` and type checkers see those of f."""

    def signed(g: Callable[..., R]) -> Callable[P, R]:
        g.__signature__ = inspect.signature(f).replace(return_annotation=inspect.signature(g).return_annotation)
        return g

    return signed


class CoDi(nn.Module, HubMixin):
    """Composable Diffusion (Tang et al. 2023): any subset of the modalities in, any subset out.

    Args:
        config: sizes. vocabulary: the words that captions are made of.
        recipe: how `generate` samples where it is not told otherwise, a name or a recipe of your own.

    >>> from codi_minimal.config import preset
    >>> sorted(CoDi(preset("tiny"), ["seven"]).modalities)
    ['audio', 'image', 'text', 'video']
    """

    def __init__(self, config: Config, vocabulary: Sequence[str], recipe: str | Recipe = "shipped"):
        super().__init__()
        if not isinstance(config, Config):
            raise ValueError(f"config: expected a Config, as `config.preset` gives, got {config!r}")
        self.config, self.recipe = config, find_recipe(recipe)
        self.modalities: Mapping[str, Modality] = nn.ModuleDict(build_modalities(config.model, vocabulary))
        self.vocabulary = list(vocabulary)
        self.schedule = Schedule(config.model.schedule, config.model.T)

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def modality(self, name: str) -> Modality:
        """The record of that name; ValueError lists the names there are."""
        return self.modalities[check_names("modality", [name], self.modalities)[0]]

    @torch.no_grad()
    def encode_prompt(self, name: str, value: Any) -> Tensor:
        """C_m(y): embeddings (b, d) of unit norm of one item or a batch of modality `name`."""
        m = self.modality(name)
        return self.in_batches(m.prompt, m.data.batch(value))

    @torch.no_grad()
    def condition(self, prompts: Mapping[str, Any], weights: Mapping[str, float] | None = None) -> Tensor | None:
        """C = Σ_i w_i C_i(y_i) (b, d) over all prompts; None where there are none. CoDi sect. 3.2.

        A modality's weight is shared by its prompts; batches of one are broadcast. `generate` scales C to norm 1, which
        is our choice.
        """
        prompts, weights = check_mapping("prompts", prompts), check_mapping("weights", weights)
        check_names("prompts", prompts, self.modalities)
        for name, weight in weights.items():
            check_number(f"weights: {name}", weight, 0)
        if unknown := set(weights) - set(prompts):
            raise ValueError(f"expected weights only for prompts ({', '.join(prompts)}), got {sorted(unknown)}")
        embeddings, w = [], []
        for name in sorted(prompts):
            batches = self.modality(name).data.prompts(prompts[name])
            embeddings += [self.encode_prompt(name, batch) for batch in batches]
            w += [weights.get(name, 1.0) / len(batches)] * len(batches)
        return mix(embeddings, w) if embeddings else None

    @torch.no_grad()
    def generate_latents(
        self,
        prompts: Mapping[str, Any] | None = None,
        outputs: Sequence[str] = ("image",),
        weights: Mapping[str, float] | None = None,
        guidance: float | Mapping[str, float] | None = None,
        steps: int | Mapping[str, int] | None = None,
        sampler: str | None = None,
        joint: bool = True,
        num_samples: int = 1,
        seed: int | Sequence[int] = 0,
        noise: Mapping[str, Tensor] | None = None,
        given: Mapping[str, Any] | None = None,
        recipe: str | Recipe | None = None,
        progress: bool | Watch = False,
    ) -> dict[str, Tensor]:
        """The latents z_0 (b, *latent_shape) that `generate` decodes; the arguments are described there."""
        names = check_names("outputs", outputs, self.modalities, unique=True)
        if other := {p.dtype for p in self.parameters()} - {torch.float32}:
            raise ValueError(f"expected weights of float32, got {other}; a recipe with autocast='bf16' is the fast way")
        num_samples, prompts = check_whole("num_samples", num_samples, 1), check_mapping("prompts", prompts)
        weights, noise = check_mapping("weights", weights), check_mapping("noise", noise)
        given = check_given(given, names, {n: m.data for n, m in self.modalities.items()}, check_flag("joint", joint))
        recipe = find_recipe(self.recipe if recipe is None else recipe)
        check_names("recipe", recipe.named(), {**dict.fromkeys(MODALITIES), **self.modalities})
        check_names("prompts", prompts, self.modalities)
        prompts = {n: self.modalities[n].data.prompts(value) for n, value in prompts.items()}
        for addition in recipe.additions:
            prompts = {n: [addition.rewrite(n, batch) for batch in batches] for n, batches in prompts.items()}
            given = {n: addition.rewrite(n, batch) for n, batch in given.items()}
        cond = self.condition(prompts, weights)
        records, held = ({name: self.modalities[name] for name in some} for some in (names, given))
        z0 = {name: self.in_batches(m.encode, given[name]).float() for name, m in held.items()}
        b = num_samples * check_sizes(z0 if cond is None else z0 | {"prompts": cond})
        check_count(b, sum(max(math.prod(m.latent_shape), math.prod(m.data.shape)) for m in records.values()))
        seeds = check_seeds(seed, b)
        for name in check_names("noise", noise, [*names, *given]):
            noise[name] = check_tensor(f"noise of {name}", noise[name], (b, *self.modalities[name].latent_shape))
        # our choice: unit length, as in `composition_loss`; a mixture is shorter than one prompt and acts less
        cond = None if cond is None else F.normalize(cond, dim=-1)
        seen = {n: batches for n, batches in prompts.items() if weights.get(n, 1.0) != 0}
        tokens = [tokens for addition in recipe.additions for tokens in addition.tokens(self, seen)]
        beside = joint and len(names) + len(given) > 1
        nets = {}
        for name, g in per_output("guidance", guidance, names).items():
            g, start = recipe.guidance_of(name, beside) if g is None else g, recipe.guidance_start_of(name)
            nets[name] = guided_by(records[name], g, start * self.schedule.T)
        steps = per_output("steps", steps, names)
        steps = {name: recipe.steps_of(name, beside) if n is None else n for name, n in steps.items()}
        steps |= dict.fromkeys(given, steps[names[0]])
        solver = recipe.sampler_of(beside) if sampler is None else sampler
        samplers = make_samplers(recipe, self.schedule, self.config.model.prediction, steps, solver)
        made: dict[str, list[Tensor]] = {name: [] for name in names}
        for rows in slices(b):
            of = torch.arange(rows.start, rows.stop, device=self.device) // num_samples  # rows of prompts
            drawn = {name: m.initial_noise(seeds[rows]) for name, m in (records | held).items() if name not in noise}
            z = {name: x.to(self.device) for name, x in (drawn | {n: x[rows] for n, x in noise.items()}).items()}
            streams = {
                name: Stream(m, z[name], nets[name], samplers[name], m.generators(seeds[rows], "steps"))
                for name, m in records.items()
            }
            for name, m in held.items():
                x, at = (take(given[name], of), take(z0[name], of), z[name]), recipe.given == "t = 0"
                streams[name] = GivenStream(m, *x, self.schedule, samplers[name], at)
            env = [take(x, of) for x in tokens]
            shared = Shared(self, recipe, None if cond is None else take(cond, of), env, progress)
            for group in [streams] if joint else [{name: stream} for name, stream in streams.items()]:
                denoise(shared, group)
            for name in names:
                made[name].append(streams[name].z)
        return {name: torch.cat(parts) for name, parts in made.items()}

    @with_arguments_of(generate_latents)
    def generate(self, *args, **options) -> dict[str, Any]:
        """Any to any: denoise all `outputs` together, each with attention to the environment of the others.

        All streams are at the same t, and each attends to all others at every step (CoDi sect. 3.4). At the same t a
        clip has more noise than the others (`Recipe.shift`). Under recipe="cascade" outputs are generated one after the
        other, each as a prompt for those that follow.

        Args:
            prompts: for any subset of the modalities one item, a batch, or (a list of batches) several prompts.
            outputs: any non-empty subset of the modalities.
            weights: of the prompts' modalities; normalised.
            guidance, steps: a number, or one an output. sampler: one of `diffusion.SAMPLERS`. None: the recipe's.
            joint: False generates each output by itself, without given streams.
            num_samples: samples of each prompt or given item, next to each other; without, the batch. Up to 2 GiB.
            seed: sample k has the seed `device.sample_seed(seed, k)`; or a list of one seed a sample. All noise of a
                sample comes from its seed and the modality's name, whatever else is generated beside it.
            noise: initial latents z_T of some outputs, (b, *latent_shape); `noise_of` has those that a seed gives.
                Noise of a given stream has an effect only where it is held at the t of the others.
            given: real streams, for any of the other modalities one item or a batch. The outputs are generated around
                them: they attend to V_m of a given stream, at the t of `Recipe.given`, as they do to each other's, and
                no prompt encoder reads it. Under the cascade it is a prompt for the others.
            recipe: "paper", "shipped", "cascade", or a `Recipe` of your own. None: the checkpoint's.
            progress: True shows a bar; a function is called after every step with the streams, by name, that took it.

        Returns:
            A dict: image (b, 3, 32, 32), video (b, 8, 3, 32, 32) in [0, 1]; audio (b, 8192) in [−1, 1]; b texts.

        Raises:
            ValueError: on a wrong argument, on weights that are not float32, and on latents that leave all bounds.
        """
        latents = self.generate_latents(*args, **options)
        return {name: self.decode(name, z) for name, z in latents.items()}

    @torch.no_grad()
    def decode(self, name: str, z0: Tensor) -> Any:
        """D_m(z_0) of latents (b, *latent_shape) of modality `name`."""
        return join([self.modality(name).autoencoder.decode(z0[rows]) for rows in slices(len(z0))])

    def noise_of(self, seed: int, k: int = 0) -> dict[str, Tensor]:
        """z_T (1, *latent_shape) of every modality, as sample k of `generate(seed=seed)` begins with it."""
        seed = sample_seed(check_whole("seed", seed, 0), check_whole("k", k, 0))
        return {name: m.initial_noise([seed]) for name, m in self.modalities.items()}

    def in_batches(self, f: Callable[[Any], Tensor], data: Tensor | list[str]) -> Tensor:
        """f of all data, in batches, on the model's device."""
        parts = (data[rows] for rows in slices(len(data)))
        return torch.cat([f(part.to(self.device) if isinstance(part, Tensor) else part) for part in parts])

    def save_pretrained(self, folder: str | Path, dtype: str | None = None) -> None:
        """Write model.safetensors and config.json; dtype "float16" halves the weights."""
        content = {"config": self.config.to_dict(), "inference": self.recipe.to_dict(), "vocabulary": self.vocabulary}
        save_folder(folder, self.state_dict(), content, dtype)

    @classmethod
    def from_pretrained(cls, folder: str | Path | None = None, device: str | None = None) -> CoDi:
        """The checkpoint that ships, or one in a folder or on the hub ("user/name"); safetensors and JSON only."""
        tensors, saved = load_folder(folder := SHIPPED_WEIGHTS if folder is None else local_folder(folder))
        if set(saved) != {"config", "inference", "vocabulary"}:
            raise ValueError(f"config.json: expected the keys config, inference and vocabulary, got {sorted(saved)}")
        recipe = Recipe.from_dict(saved["inference"])
        build = partial(cls, Config.from_dict(saved["config"]), saved["vocabulary"], recipe)
        with torch.random.fork_rng(devices=[]), Uninitialised():  # the caller's generator stays
            model = build()
        check_named(model.state_dict(), tensors, "the model of config.json")
        load_into(model.float(), tensors)
        model.loaded_from = folder.resolve()
        # channels_last: on a CPU convolutions take a fifth less time so
        return model.to(best_device(device), memory_format=torch.channels_last).eval()
