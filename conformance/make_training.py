"""Makes 3-training.json: each stage's loss and its gradient, for a tiny model with weights by formula.

`python -m conformance.make_training` writes it again; it needs torch. All is in double precision. Inputs are given by
formula, too, so that the file holds no array. A gradient is given as two numbers for each tensor: its norm, and its
product with a direction that is given by formula. Their sum over all tensors, the slope of the loss in that direction,
can be checked without any automatic differentiation.
"""

import json
import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from codi_minimal import CoDi
from codi_minimal.alignment import Environment, contrastive_loss, environment_modules, joint_loss, wire
from codi_minimal.alignment.environment import has_clock
from codi_minimal.config import preset
from codi_minimal.data import VOCABULARY
from codi_minimal.diffusion import diffusion_loss, q_sample
from codi_minimal.ours.reading import reading_loss
from codi_minimal.ours.whole_captions import WholeCaptions
from codi_minimal.prompts import Temperature, clip_loss
from codi_minimal.recipe import find_recipe
from codi_minimal.training.prompts import composition_loss

FILE = Path(__file__).with_name("3-training.json")
CAPTIONS = ["a red seven", "a green two moving left", "the number seven in red", "eight"]
PARTS = [["red", "green", "in red", "eight"], ["seven", "a two moving left", "the digit seven", "eight"]]
MATCHING = [[True, False, True, False], [False, True, False, False], [True, False, True, False], [False] * 3 + [True]]
MODULUS = 65537  # a prime; squares by it look like noise


def numbers(name: str, *shape: int) -> Tensor:
    """x_i = 2 (k² mod 65537) / 65537 − 1, k = (CRC-32 of the name + i) mod 65537, in [-1, 1)."""
    k = (zlib.crc32(name.encode()) + torch.arange(math.prod(shape))) % MODULUS
    return (2 * (k * k % MODULUS).double() / MODULUS - 1).reshape(shape)


def weight(name: str, shape: Sequence[int]) -> Tensor:
    """√(3 / fan-in) x for what has two axes or more, 1 + x / 10 for the weights of norms, else x / 10."""
    if len(shape) > 1:
        return math.sqrt(3 / math.prod(shape[1:])) * numbers(name, *shape)
    return 0.1 * numbers(name, *shape) + (1.0 if name.endswith("weight") else 0.0)


KINDS: dict[str, Callable[[Tensor], Tensor]] = {
    "noise": lambda x: math.sqrt(3) * x,
    "picture": lambda x: (1 + x) / 2,
    "wave": lambda x: x / 2,
    "unit": lambda x: x / x.norm(dim=-1, keepdim=True),
}


class Cases:
    """The cases, and the inputs that they name."""

    def __init__(self, model: CoDi) -> None:
        self.model, self.cases = model, []
        self.temperature = Temperature().double()

    def given(self, **inputs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Inputs as the file has them, (kind, shape, rows of zeros) or plain lists; and as tensors."""
        return inputs, {key: self._made(key, x) for key, x in inputs.items()}

    def _made(self, key: str, x: Any) -> Any:
        if isinstance(x, dict):
            made = KINDS[x["kind"]](numbers(f"input {key}", *x["shape"]))
            made[x.get("zero", [])] = 0
            return made
        return x if isinstance(x[0], str) or isinstance(x[0], list) and isinstance(x[0][0], str) else torch.tensor(x)

    def add(
        self, title: str, op: str, inputs: Mapping[str, Any], terms: Mapping[str, Tensor],
        trained: Mapping[str, nn.Module], **options: Any,
    ) -> None:  # fmt: skip
        """A case: `terms` has "loss" and what it is made of. `trained`: prefix → module."""
        weights = {f"{prefix}{name}": p for prefix, module in trained.items() for name, p in module.named_parameters()}
        found = torch.autograd.grad(terms["loss"], list(weights.values()), allow_unused=True, retain_graph=True)
        gradient = {}
        for (name, p), g in zip(weights.items(), found, strict=True):
            if g is not None:
                slope = (g * numbers(f"direction {name}", *p.shape)).sum()
                gradient[name] = [float(f"{x:.9g}") for x in (g.norm().item(), slope.item())]
        case = {"case": title, "op": op, "options": options, "inputs": inputs}
        case |= {"terms": {key: float(f"{x.item():.12g}") for key, x in terms.items()}}
        self.cases.append(case | {"slope": sum(slope for _, slope in gradient.values()), "gradient": gradient})


def array(kind: str, *shape: int, zero: Sequence[int] = ()) -> dict[str, Any]:
    """An input by formula; the rows `zero` are 0."""
    return {"kind": kind, "shape": list(shape), **({"zero": list(zero)} if zero else {})}


def data_of(name: str, n: int) -> Any:
    """n samples of a modality: captions, or an array by formula."""
    shapes = {"image": ("picture", 3, 32, 32), "audio": ("wave", 8192), "video": ("picture", 8, 3, 32, 32)}
    if name not in shapes:
        return CAPTIONS[:n]
    kind, *shape = shapes[name]
    return array(kind, n, *shape)


def autoencoders(kit: Cases) -> None:
    """Stage 1. That of text hides words, as in training."""
    for name, n in (("image", 2), ("audio", 2), ("text", len(CAPTIONS))):
        m = kit.model.modalities[name]
        inputs, made = kit.given(x=data_of(name, n), noise=array("noise", n, *m.latent_shape))
        prefix, ae = f"modalities.{name}.autoencoder.", m.autoencoder.train()
        kit.add(f"−ELBO of {name}", "elbo", inputs, ae.loss(made["x"], made["noise"]),
                {prefix: ae}, modality=name)  # fmt: skip


def bridges(kit: Cases) -> None:
    """Stage 2: C_text and C_image; C_audio and C_video against the frozen C_text. `whole` is ours."""
    c_text, n = kit.model.modalities["text"].prompt, len(CAPTIONS)
    for name in ("image", "audio", "video"):
        c_other, first = kit.model.modalities[name].prompt, name == "image"
        stated = {"captions": CAPTIONS, "positives": MATCHING}
        inputs, made = kit.given(x=data_of(name, n), **stated, **({"parts": PARTS} if first else {}))
        other, scale = c_other(made["x"]), kit.temperature()
        terms = {"contrastive": clip_loss(c_text(CAPTIONS), other, scale, made["positives"])}
        if first:
            parts = [c_text(part) for part in PARTS]
            terms["composition"] = composition_loss(c_text(CAPTIONS), parts, scale, made["positives"])
        terms["whole captions"] = WholeCaptions().bridging_loss(other, c_text(CAPTIONS).detach())
        terms = {"loss": sum(terms.values()), **terms}
        trained = {f"modalities.{name}.prompt.": c_other, "temperature.": kit.temperature}
        trained |= {"modalities.text.prompt.": c_text} if first else {}
        kit.add(f"bridge of text and {name}", "bridge", inputs, terms, trained, modality=name)


def denoisers(kit: Cases) -> None:
    """Stage 3: L_D; the second sample has no prompt."""
    for name, m in kit.model.modalities.items():
        z = array("noise", 3, *m.latent_shape)
        inputs, made = kit.given(
            z0=z, eps=z, t=[3, 400, 990], cond=array("unit", 3, kit.model.config.model.d, zero=[1])
        )
        loss = diffusion_loss(m.denoiser, schedule=kit.model.schedule, **made)
        kit.add(f"L_D of {name}", "L_D", inputs, {"loss": loss}, {f"modalities.{name}.denoiser.": m.denoiser},
                modality=name)  # fmt: skip


@dataclass
class Noisy:
    """A pair of streams: the inputs that the file names, and z_t, t, ε and V_m(z_t) of both at times of their own."""

    kit: Cases
    pair: tuple[str, str]

    def __post_init__(self) -> None:
        parts, n = self.kit.model.modalities, len(CAPTIONS)
        times = zip(self.pair, ([10, 200, 500, 900], [800, 3, 450, 100]), strict=True)
        self.title, self.modalities = " and ".join(self.pair), {m: parts[m] for m in self.pair}
        latents = {f"{x}.{m}": array("noise", n, *parts[m].latent_shape) for m in self.pair for x in ("z0", "eps")}
        positives = {"positives": MATCHING} if "text" in self.pair else {}
        self.times, made = self.kit.given(**{f"t.{m}": t for m, t in times})
        self.inputs, values = self.kit.given(**latents, **positives)
        self.z0, self.eps = ({m: values[f"{x}.{m}"] for m in self.pair} for x in ("z0", "eps"))
        self.positives, self.tokens = values.get("positives"), self.at({m: made[f"t.{m}"] for m in self.pair})
        self.encoders = {f"modalities.{m}.environment.": x.environment for m, x in self.modalities.items()}

    def at(self, t: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """V_m(z_t) at some t of each stream."""
        schedule, z0, eps = self.kit.model.schedule, self.z0, self.eps
        return {m: x.environment(q_sample(schedule, z0[m], t[m], eps[m]), t[m]) for m, x in self.modalities.items()}


def alignment(kit: Cases) -> None:
    """Stage 4: L_Con and L_Read at times of their own, L_Cross + λ L_Con at one time."""
    for pair in (("text", "image"), ("text", "audio"), ("audio", "video")):
        noisy = Noisy(kit, pair)
        environment_stage(kit, noisy)
        if pair != ("text", "audio"):
            joint_stage(kit, noisy)


def environment_stage(kit: Cases, noisy: Noisy) -> None:
    """L_Con, and L_Read, which is ours, by the attention of one denoiser's condition."""
    temperature = {"temperature.": kit.temperature}
    l_con = contrastive_loss(*noisy.tokens.values(), kit.temperature(), noisy.positives)
    inputs = noisy.inputs | noisy.times
    kit.add(f"L_Con of {noisy.title}", "L_Con", inputs, {"loss": l_con}, noisy.encoders | temperature, pair=noisy.pair)
    unit = partial(array, "unit", len(CAPTIONS), kit.model.config.model.d)
    more, made = kit.given(**{f"said.{m}": unit() for m in noisy.pair}, cond=unit(zero=[0, 3]))
    reader, env = kit.model.modalities["image"].denoiser.environment_attention, Environment.of([*noisy.tokens.values()])
    l_read = reading_loss(reader, env, [made[f"said.{m}"] for m in noisy.pair], made["cond"])
    trained = noisy.encoders | {"modalities.image.denoiser.environment_attention.": reader}
    inputs = {key: x for key, x in inputs.items() if key != "positives"} | more
    kit.add(
        f"L_Read of {noisy.title} by image", "L_Read", inputs, {"loss": l_read}, trained, pair=noisy.pair, by="image"
    )


def joint_stage(kit: Cases, noisy: Noisy) -> None:
    """L_Cross + λ L_Con. One sample has only clock tokens in its environment, and one has none."""
    cond = array("unit", len(CAPTIONS), kit.model.config.model.d, zero=[0, 3])
    gaps = {"clock_alone": [False, True, False, False], "nothing": [False, False, True, False]}
    more, made = kit.given(**gaps, cond=cond, t=[10, 300, 600, 995])
    tokens, env = noisy.at(dict.fromkeys(noisy.pair, made["t"])), {}
    for m, (seen, present) in wire(tokens).items():
        present = present & ~made["nothing"][:, None] & (has_clock(seen) | ~made["clock_alone"][:, None])
        env[m] = Environment(seen, present)
    nets = {m: x.denoiser for m, x in noisy.modalities.items()}
    loss, how = partial(diffusion_loss, schedule=kit.model.schedule), {"lam": 0.5, "positives": noisy.positives}
    streams = (noisy.z0, made["t"], noisy.eps, made["cond"], tokens)
    total, cross, l_con = joint_loss(loss, nets, *streams, kit.temperature(), **how, env=env)
    terms = {"loss": total, **{f"L_Cross of {m}": x for m, x in cross.items()}, "L_Con": l_con}
    attention = {
        f"modalities.{m}.denoiser.{name}.": part
        for m, net in nets.items()
        for name, part in net.named_modules()
        if part in environment_modules(net)
    }
    trained = noisy.encoders | attention | {"temperature.": kit.temperature}
    inputs, title = noisy.inputs | more, f"L_Cross and L_Con of {noisy.title}"
    kit.add(title, "joint", inputs, terms, trained, pair=noisy.pair, lam=0.5)


def make(file: Path = FILE) -> None:
    """Writes the file."""
    torch.set_num_threads(1)
    model = CoDi(preset("tiny"), VOCABULARY, find_recipe("shipped")).double().eval()  # without dropout and augmentation
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(weight(name, p.shape))
    kit = Cases(model)
    for stage in (autoencoders, bridges, denoisers, alignment):
        stage(kit)
    shapes = {name: list(p.shape) for name, p in model.named_parameters()}
    about = {"config": asdict(model.config.model), "vocabulary": model.vocabulary, "parameters": shapes}
    lines = ",\n".join(json.dumps(case) for case in kit.cases)
    start = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in about.items())
    file.write_text(f'{{\n{start},\n"cases": [\n{lines}\n]\n}}\n', encoding="utf-8")


if __name__ == "__main__":
    make()
