"""CoDi: a dict of modalities that are prompted in any combination and generated in any combination, side by side."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from codi_minimal.alignment import Wiring, check_wiring
from codi_minimal.batches import join, slices
from codi_minimal.checkpoint import check_named, load_folder, load_into, local_folder, save_folder
from codi_minimal.config import Config
from codi_minimal.device import best_device, sample_seed
from codi_minimal.diffusion import Schedule, guided, make_sampler
from codi_minimal.inputs import (
    check_count,
    check_flag,
    check_latents,
    check_mapping,
    check_number,
    check_seeds,
    check_whole,
)
from codi_minimal.modality import Modality, build_modalities
from codi_minimal.prompts import CaptionMemory, mix
from codi_minimal.side_by_side import Stream, denoise

SHIPPED = Path(__file__).parent / "weights" / "small"
DEFAULTS = {"guidance_until": 0.0, "sampler": "dpm-solver++", "stagger": 0.85}
LARGEST = 10_000  # standard deviations of a latent: what no decoder can make sense of any more
EPSILON_CLIP = 4.0  # standard deviations of a latent; see `diffusion.Sampler`
BRIDGE = "text"  # every other modality was paired with it


class CoDi(nn.Module):
    """Composable Diffusion (Tang et al. 2023): any subset of the modalities in, any subset out.

    Args:
        config: sizes. vocabulary: the words that captions are made of.

    >>> from codi_minimal.config import preset
    >>> sorted(CoDi(preset("tiny"), ["seven"]).modalities)
    ['audio', 'image', 'text', 'video']
    """

    def __init__(self, config: Config, vocabulary: Sequence[str]):
        super().__init__()
        if not isinstance(config, Config):
            raise ValueError(f"config: expected a Config, as `config.preset` gives, got {config!r}")
        self.config = config
        self.modalities: Mapping[str, Modality] = nn.ModuleDict(build_modalities(config.model, vocabulary))
        self.vocabulary = list(vocabulary)
        self.memory = CaptionMemory(config.model.d, config.model.memory)
        self.schedule = Schedule(config.model.schedule, config.model.T)

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def modality(self, name: str) -> Modality:
        """The record of that name; ValueError lists the names there are."""
        if not isinstance(name, str) or name not in self.modalities:
            raise ValueError(f"expected a modality out of {', '.join(self.modalities)}, got {name!r}")
        return self.modalities[name]

    # ---- prompts ------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def encode_prompt(self, name: str, value: Any) -> Tensor:
        """C_m(y): embeddings (b, d) of unit norm of one item or a batch of modality `name`."""
        m = self.modality(name)
        return self._in_batches(m.prompt, m.data.batch(value))

    @torch.no_grad()
    def condition(self, prompts: Mapping[str, Any], weights: Mapping[str, float] | None = None) -> Tensor | None:
        """C = Σ_i w_i C_i(y_i) (b, d) over all prompts; None where there are none. CoDi sect. 3.2.

        Each prompt is said in captions first, see `CaptionMemory`. A modality's weight is shared by its prompts;
        batches of one are broadcast. `generate` brings C to unit length.
        """
        prompts, weights = check_mapping("prompts", prompts), check_mapping("weights", weights)
        for name, weight in weights.items():
            check_number(f"weights: {name}", weight, 0)
        if unknown := set(weights) - set(prompts):
            raise ValueError(
                f"expected weights only for prompts that are given ({', '.join(prompts)}), got {sorted(unknown)}"
            )
        embeddings, w = [], []
        for name in sorted(prompts):
            batches = self.modality(name).data.prompts(prompts[name])
            embeddings += [self.memory(self.encode_prompt(name, batch)) for batch in batches]
            w += [weights.get(name, 1.0) / len(batches)] * len(batches)
        return mix(embeddings, w) if embeddings else None

    # ---- generation ---------------------------------------------------------------------------------------------

    @torch.no_grad()
    def generate(
        self,
        prompts: Mapping[str, Any] | None = None,
        outputs: Sequence[str] = ("image",),
        weights: Mapping[str, float] | None = None,
        guidance: float | Mapping[str, float] | None = None,
        steps: int | Mapping[str, int] | None = None,
        sampler: str = DEFAULTS["sampler"],
        joint: bool = True,
        prompt_streams: bool = True,
        num_samples: int = 1,
        seed: int | Sequence[int] = 0,
        noise: Mapping[str, Tensor] | None = None,
        wiring: Wiring = "others",
        env_guidance: str | Mapping[str, str] | None = None,
        guidance_start: float | Mapping[str, float] | None = None,
        guidance_until: float = DEFAULTS["guidance_until"],
        stagger: float = DEFAULTS["stagger"],
        bridge: bool | None = None,
        arrivals: bool = True,
        autocast: str | None = None,
        decode: bool = True,
        progress: bool = False,
    ) -> dict[str, Any]:
        """Any to any: denoise all `outputs` side by side, each attending to the others' environment at every step.

        Args:
            prompts: for any subset of the modalities one item, a batch, or (a list of batches) several prompts.
            outputs: any non-empty subset of the modalities.
            weights: of the prompts' modalities; normalised.
            guidance, steps: one number, or one for each output; None: what each `Modality` names, of guidance
                `guidance_beside` where there is an environment.
            env_guidance: "drop": guidance amplifies the environment along with the prompt; "with": the prompt alone;
                one for all, one for each output, or None, as above.
            sampler: "ddim", "dpm-solver++" or "ddpm".
            joint: False generates each output by itself.
            prompt_streams: the clocks of prompts are part of the environment, too, as of streams that have arrived at
                t = 0: the prompt space is aligned through text, so what text never says (the onset) can only pass
                this way.
            num_samples: samples a prompt (next to each other in the batch); without prompts, the batch. Any number that
                2 GiB of outputs can hold; the networks take them in batches.
            seed: sample k has the seed `device.sample_seed(seed, k)`; or a list of one seed a sample. All noise of a
                sample comes from its seed and the modality's name, so that it depends neither on the other samples nor
                on the other outputs.
            noise: initial latents z_T of some outputs, (b, *latent_shape); `noise_of` has those that a seed gives.
            wiring: which environment a stream sees, by name, or as a mapping to those it sees; see `alignment.wire`.
            guidance_start, guidance_until: guidance starts below and ends at these shares of T, see `diffusion.guided`;
                where it starts may be one number, one for each output, or None, as above.
            stagger: how much later, as a share of the way from T to 0, each stream starts than the one before it, the
                smallest first. At 0 all go at once, as in the paper, and must make up their minds together, out of
                noise; a stream that is ahead has something to say to those that follow. Both sample the same joint
                distribution, for V is told the time of its own stream, whatever it is (Bao et al. 2023, UniDiffuser).
            bridge: text is denoised beside the outputs, too, and thrown away: streams that were never trained together
                agree on what it says. None: where there is no prompt, and more than one output to agree.
            arrivals: under the wiring "others", a stream that has arrived is a prompt from then on for those under way;
                False: it stays a stream, at t = 0.
            autocast: "bf16" runs the denoisers in bfloat16: faster where the processor computes in it.
            decode: False returns the latents z_0 (b, *latent_shape) themselves.
            progress: show a bar.

        Returns:
            A dict: image (b, 3, 32, 32), video (b, 8, 3, 32, 32) in [0, 1]; audio (b, 8192) in [−1, 1]; b texts.

        Raises:
            ValueError: on an argument of the wrong kind, shape or range; on weights that are not float32; on latents
                that leave all bounds.
        """
        asked = self._outputs(outputs)
        if other := {p.dtype for p in self.parameters()} - {torch.float32}:
            raise ValueError(f"expected a model with weights of float32, got {other}; autocast='bf16' is the fast way")
        num_samples, prompts = check_whole("num_samples", num_samples, 1), check_mapping("prompts", prompts)
        weights, noise = check_mapping("weights", weights), check_mapping("noise", noise)
        flags = {"joint": joint, "prompt_streams": prompt_streams, "arrivals": arrivals, "decode": decode}
        for what, flag in flags.items():
            check_flag(what, flag)
        check_wiring(wiring)
        if not isinstance(wiring, str):
            for name in {*wiring, *(other for seen in wiring.values() for other in seen)}:
                self.modality(name)
        if autocast not in (None, "bf16"):
            raise ValueError(f"autocast: expected None or 'bf16', got {autocast!r}")
        if bridge is None:
            bridge = joint and wiring == "others" and not prompts and len(asked) > 1
        check_flag("bridge", bridge)
        names = [*asked, BRIDGE] if bridge and BRIDGE not in asked else asked
        cond = self.condition(prompts, weights)
        b = num_samples * (1 if cond is None else len(cond))
        records = [self.modalities[name] for name in names]
        check_count(b, sum(max(math.prod(m.latent_shape), math.prod(m.data.shape)) for m in records))
        seeds = check_seeds(seed, b)
        noise = self._check_noise(names, b, noise)
        # at unit length, as composition_loss reads a sum of parts: a mixture is shorter, and would be followed less
        cond = None if cond is None else F.normalize(cond, dim=-1)
        given = self._prompt_tokens(prompts, weights) if prompt_streams else []
        steps = self._per_output("steps", steps, asked, names)
        alone = self._per_output("guidance", guidance, asked, names)
        beside = self._per_output("guidance_beside", guidance, asked, names)
        for g in alone.values():
            check_number("guidance", g)
        amplify = self._per_output("env_guidance", env_guidance, asked, names)
        starts = self._per_output("guidance_start", guidance_start, asked, names)
        shares = [("stagger", stagger), ("guidance_until", guidance_until)]
        for what, share in [*shares, *(("guidance_start", start) for start in starts.values())]:
            check_number(what, share, 0, 1)
        T, prediction = self.config.model.T, self.config.model.prediction
        nets = {
            name: guided(
                self.modalities[name].denoiser,
                alone[name],
                amplify[name],
                until=guidance_until * T,
                g_env=beside[name],
                start=starts[name] * T,
            )
            for name in names
        }
        clip = EPSILON_CLIP if prediction == "epsilon" else None
        samplers = {name: make_sampler(sampler, self.schedule, steps[name], prediction, clip=clip) for name in names}
        as_prompt = self._as_prompt if arrivals and wiring == "others" else None
        made: dict[str, list[Any]] = {name: [] for name in asked}
        for rows in slices(b):
            of = torch.arange(rows.start, rows.stop, device=self.device) // num_samples  # rows of the prompts
            streams = {
                name: Stream(
                    self.modalities[name],
                    (noise[name][rows] if name in noise else self._noise(name, seeds[rows])).to(self.device),
                    nets[name],
                    samplers[name],
                    [self._generator(seed, f"{name} steps") for seed in seeds[rows]],
                )
                for name in names
            }
            for group in [streams] if joint else [{name: stream} for name, stream in streams.items()]:
                c = None if cond is None else cond[of]
                env = [tokens[of] if len(tokens) > 1 else tokens.expand(len(of), -1, -1) for tokens in given]
                denoise(group, c, env, wiring, stagger, autocast, progress, as_prompt)
            for name in asked:
                if not (streams[name].z.abs() < LARGEST).all():  # NaN is not, either
                    raise ValueError(f"{name}: expected latents within ±{LARGEST:,}; is guidance too large?")
                made[name].append(streams[name].decode() if decode else streams[name].z)
        return {name: join(parts) for name, parts in made.items()}

    def noise_of(self, seed: int, k: int = 0) -> dict[str, Tensor]:
        """z_T (1, *latent_shape) of every modality, as sample k of `generate(seed=seed)` begins with it."""
        seed = sample_seed(check_whole("seed", seed, 0), check_whole("k", k, 0))
        return {name: self._noise(name, [seed]) for name in self.modalities}

    def _prompt_tokens(self, prompts: Mapping[str, Any], weights: Mapping[str, float]) -> list[Tensor]:
        """`Modality.clock` of each prompt that has one, (b, n, d_env), one row a prompt, or one for all of them."""
        tokens = []
        for name in sorted(prompts):
            m = self.modalities[name]
            heard = m.environment.clock > 0 and weights.get(name, 1.0) != 0
            for batch in m.data.prompts(prompts[name]) if heard else []:
                tokens.append(self._in_batches(lambda x, m=m: m.clock(m.encode(x)), batch))
        return tokens

    def _as_prompt(self, stream: Stream) -> tuple[Tensor, Tensor]:
        """What a stream that has arrived says as a prompt: C (b, d), zeros where it can be none, and its clock."""
        m, made = stream.modality, stream.decode()

        def said(batch) -> Tensor:
            return self.memory(self.encode_prompt(m.name, batch))

        try:
            c = said(made)
        except ValueError:  # a caption of no words or too many, or what is not finite
            c = torch.zeros(len(made), self.config.model.d, device=self.device)
            for i in range(len(made)):
                with suppress(ValueError):
                    c[i] = said(made[i : i + 1])[0]
        return c, m.clock(stream.z)

    def _per_output(self, what: str, value: Any, asked: list[str], names: list[str]) -> dict[str, Any]:
        if value is not None and not isinstance(value, Mapping):
            return dict.fromkeys(names, value)
        own = {name: getattr(self.modalities[name], what) for name in names}
        if value is not None and (missing := set(asked) - set(value)):
            raise ValueError(f"{what}: expected a value for each output, got none for {sorted(missing)}")
        if value is not None and (unknown := set(value) - set(names)):
            raise ValueError(f"{what}: expected values for {', '.join(names)}, got one for {sorted(unknown)}")
        return {name: (value or {}).get(name, own[name]) for name in names}

    def _outputs(self, outputs: Sequence[str]) -> list[str]:
        if not isinstance(outputs, Sequence):
            raise ValueError(f"outputs: expected a sequence of names of modalities, got {type(outputs).__name__}")
        names = [outputs] if isinstance(outputs, str) else list(outputs)
        if not names:
            raise ValueError(f"outputs: expected at least one modality out of {', '.join(self.modalities)}, got none")
        names = [self.modality(name).name for name in names]
        if len(set(names)) != len(names):
            raise ValueError(f"outputs: expected each modality once, got {names}")
        return names

    def _generator(self, seed: int, name: str) -> torch.Generator:
        # seeded by the name, too: asking for one output more leaves the noise of the others alone
        return torch.Generator().manual_seed((seed * 1_000_003 + zlib.crc32(name.encode())) % 2**63)

    def _noise(self, name: str, seeds: Sequence[int]) -> Tensor:
        return torch.cat([self.modalities[name].noise(1, self._generator(seed, name)) for seed in seeds])

    def _check_noise(self, names: list[str], b: int, noise: Mapping[str, Tensor]) -> dict[str, Tensor]:
        if unknown := set(noise) - set(names):
            raise ValueError(f"noise: expected latents only for outputs ({', '.join(names)}), got {sorted(unknown)}")
        return {name: check_latents(name, z, (b, *self.modalities[name].latent_shape)) for name, z in noise.items()}

    def _in_batches(self, f: Callable[[Any], Tensor], data: Tensor | list[str]) -> Tensor:
        """f of all data, in batches, on the model's device."""
        parts = (data[rows] for rows in slices(len(data)))
        return torch.cat([f(part.to(self.device) if isinstance(part, Tensor) else part) for part in parts])

    # ---- files --------------------------------------------------------------------------------------------------

    def save_pretrained(self, folder: str | Path, dtype: str | None = None) -> None:
        """Write model.safetensors and config.json; dtype "float16" halves the weights."""
        save_folder(folder, self.state_dict(), {"config": self.config.to_dict(), "vocabulary": self.vocabulary}, dtype)

    @classmethod
    def from_pretrained(cls, folder: str | Path | None = None, device: str | None = None) -> CoDi:
        """The checkpoint that ships, or one in a folder or on the hub ("user/name"); safetensors and JSON only."""
        if folder is not None and not isinstance(folder, (str, Path)):
            raise ValueError(f"expected a folder or a hub id, got {folder!r}")
        tensors, saved = load_folder(SHIPPED if folder is None else local_folder(folder))
        if not {"config", "vocabulary"} <= set(saved):
            raise ValueError(f"expected config.json with the keys config and vocabulary, got {sorted(saved)}")
        config, vocabulary = Config.from_dict(saved["config"]), saved["vocabulary"]
        with torch.device("meta"):  # shapes without memory: a damaged config could ask for any amount
            check_named(cls(config, vocabulary).state_dict(), tensors, "the model of config.json")
        with torch.random.fork_rng(devices=[]):  # the initial weights are replaced; the caller's generator stays
            model = cls(config, vocabulary).float()
        load_into(model, tensors)
        # channels_last: on a CPU convolutions take a fifth less time so
        return model.to(best_device(device), memory_format=torch.channels_last).eval()
