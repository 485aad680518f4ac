"""Speed and memory of this machine: training steps, sampling, and a U-Net of diffusers beside them.

What stands in one table is timed in turn, several times, so that a change in the machine's speed affects all of it
alike. Medians are printed.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from codi_minimal.codi import CoDi
from codi_minimal.config import preset
from codi_minimal.data import VOCABULARY
from codi_minimal.device import best_device
from codi_minimal.diffusion import diffusion_loss
from codi_minimal.recipes import CASCADE

MATRIX, LARGER = 2048, 8192  # side of the matrices whose product sets the peak of a CPU, and of a GPU
BATCHES = {"image": 64, "audio": 64, "text": 128, "video": 8}  # of a training step
MANY, FEWER = 32, 8  # samples of a large batch: of one modality, and of all four
COLD = {
    "import codi_minimal": ["-c", "import codi_minimal"],
    "--help": ["-m", "codi_minimal", "--help"],
    "first image of a fresh process": [
        "-c", "from codi_minimal import CoDi; CoDi.from_pretrained().generate({'text': 'a red seven'}, 'image')",
    ],
}  # fmt: skip


@dataclass(frozen=True)
class Measured:
    """A piece of work: its median seconds, and its floating-point operations by torch's counter."""

    seconds: float
    flops: int = 0

    @property
    def gflops(self) -> float:
        """10⁹ operations a second."""
        return self.flops / self.seconds / 1e9


def timed(works: Mapping[str, Callable[[], Any]], device: torch.device, rounds: int) -> dict[str, float]:
    """Median seconds of each piece of work. One call of each warms up; then they are timed in turn."""

    def seconds(work: Callable[[], Any]) -> float:
        began = time.perf_counter()
        work()
        if device.type != "cpu":
            getattr(torch, device.type).synchronize()
        return time.perf_counter() - began

    for work in works.values():
        seconds(work)
    found = [{name: seconds(work) for name, work in works.items()} for _ in range(rounds)]
    return {name: statistics.median(times[name] for times in found) for name in works}


def counted(works: Mapping[str, Callable[[], Any]], device: torch.device, rounds: int) -> dict[str, Measured]:
    """As `timed`, with the operations of each. Attention is counted unfused: the counter knows no fused one of CPUs."""
    flops = {}
    for name, work in works.items():
        with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
            work()
        flops[name] = counter.get_total_flops()
    return {name: Measured(seconds, flops[name]) for name, seconds in timed(works, device, rounds).items()}


def products(device: torch.device) -> dict[str, Callable[[], Any]]:
    """Products of two large matrices: what this machine computes at most."""
    n = MATRIX if device.type == "cpu" else LARGER
    return {
        name: partial(torch.matmul, *(torch.randn(n, n, device=device, dtype=dtype) for _ in range(2)))
        for name, dtype in {"fp32": torch.float32, "bf16": torch.bfloat16}.items()
    }


def training_step(net: nn.Module, loss: Callable[[nn.Module], Tensor], autocast: str) -> Callable[[], None]:
    """Forward, backward, and a step of AdamW: a step of `training.fit` without its clipping, average and checks."""
    weights = [p for p in net.parameters() if p.requires_grad]
    device = weights[0].device
    optimizer = torch.optim.AdamW(weights, 1e-4, fused=device.type in ("cpu", "cuda"))

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=autocast == "bf16"):
            value = loss(net)
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        optimizer.step()

    return step


def denoiser_steps(model: CoDi, autocast: str) -> dict[str, Callable[[], None]]:
    """A training step of each denoiser on L_D, on a batch of noise with conditions."""
    steps = {}
    for name, b in BATCHES.items():
        m = model.modalities[name]
        z0, eps = (torch.randn(b, *m.latent_shape, device=model.device) for _ in range(2))
        t, cond = torch.randint(1000, (b,), device=model.device), torch.randn(b, model.config.model.d).to(z0)
        net = m.denoiser.train().requires_grad_(True)
        loss = partial(diffusion_loss, z0=z0, t=t, eps=eps, schedule=model.schedule, cond=cond)
        # attention to other streams is trained in another stage
        for part in net.modules():
            if getattr(part, "environment_attention", None) is not None:
                part.environment_attention.requires_grad_(False)
        steps[f"{name}, batch {b}"] = training_step(net, loss, autocast)
    return steps


def of_diffusers(model: CoDi) -> nn.Module | None:
    """A `UNet2DConditionModel` of the image denoiser's widths and depth; None without diffusers."""
    try:
        from diffusers import UNet2DConditionModel
    except ImportError:
        return None
    unet, m = model.config.model.image_unet, model.modalities["image"]
    channels, side, _ = m.latent_shape
    levels = len(unet.widths)
    return UNet2DConditionModel(
        sample_size=side, in_channels=channels, out_channels=channels, layers_per_block=unet.depth,
        block_out_channels=unet.widths, cross_attention_dim=unet.embed, norm_num_groups=8,
        attention_head_dim=tuple(max(1, width // 32) for width in unet.widths),  # their name for the number of heads
        down_block_types=("CrossAttnDownBlock2D",) * levels, up_block_types=("CrossAttnUpBlock2D",) * levels,
    ).to(model.device, memory_format=torch.channels_last)  # fmt: skip


def step_of_diffusers(net: Any, model: CoDi, autocast: str) -> Callable[[], None]:
    """The same training step of their network."""
    b, unet = BATCHES["image"], model.config.model.image_unet
    z0, eps = (torch.randn(b, *model.modalities["image"].latent_shape, device=model.device) for _ in range(2))
    t, tokens = torch.randint(1000, (b,), device=model.device), torch.randn(b, unet.tokens, unet.embed).to(z0)

    def called(z_t: Tensor, t: Tensor, cond: Any, env: Any) -> Tensor:
        return net(z_t, t, encoder_hidden_states=tokens).sample

    def loss(_: nn.Module) -> Tensor:
        return diffusion_loss(called, z0, t, eps, model.schedule)

    return training_step(net.train(), loss, autocast)


@torch.no_grad()
def loop_of_diffusers(net: Any, model: CoDi, b: int, autocast: str | None) -> None:
    """Images by diffusers' DPM-Solver++ and their network, from noise to latents, with our steps and guidance."""
    from diffusers import DPMSolverMultistepScheduler

    scheduler = DPMSolverMultistepScheduler(prediction_type="v_prediction", beta_schedule="squaredcos_cap_v2")
    scheduler.set_timesteps(model.recipe.steps_of("image"))
    sizes, g = model.config.model, model.recipe.guidance_of("image")
    z = torch.randn(b, *model.modalities["image"].latent_shape, device=model.device)
    tokens = torch.randn(2 * b, sizes.image_unet.tokens, sizes.image_unet.embed).to(z)
    for t in scheduler.timesteps:
        n = 2 * b if t < model.recipe.guidance_start_of("image") * sizes.T else b  # early steps have no guidance
        with torch.autocast(model.device.type, torch.bfloat16, enabled=autocast == "bf16"):
            output = net(torch.cat([z, z])[:n], t, encoder_hidden_states=tokens[:n]).sample.float()
        z = scheduler.step(output[:b] + g * (output[b:] - output[:b]) if n > b else output, t, z).prev_sample


def samplings(model: CoDi, net: nn.Module | None, autocast: str | None = None) -> dict[str, Callable[[], Any]]:
    """What is asked of a model, for one sample and for many."""
    four = tuple(model.modalities)
    make = partial(model.generate_latents, recipe=replace(model.recipe, autocast=autocast))
    cascade = partial(model.generate_latents, recipe=replace(CASCADE, autocast=autocast))
    works: dict[str, Callable[[], Any]] = {}
    for b in (1, MANY):
        prompt = {"text": ["a red seven"] * b}
        works[f"text → image, batch {b}"] = partial(make, prompt, "image")
        if net is not None:
            works[f"text → image, diffusers, batch {b}"] = partial(loop_of_diffusers, net.eval(), model, b, autocast)
        works[f"text → video, batch {b}"] = partial(make, prompt, "video")
    for b in (1, FEWER):
        works[f"all four together, batch {b}"] = partial(make, {}, four, num_samples=b)
        works[f"all four, one after another, batch {b}"] = partial(cascade, {}, four, num_samples=b)
        works[f"all four, each by itself, batch {b}"] = partial(make, {}, four, num_samples=b, joint=False)
    return works


def cold_starts(rounds: int) -> dict[str, float]:
    """Median seconds of processes that start from nothing."""

    def run(arguments: list[str]) -> None:
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)

    return timed({name: partial(run, arguments) for name, arguments in COLD.items()}, torch.device("cpu"), rounds)


def peak_memory(device: torch.device) -> float:
    """MiB: the most that tensors took on a GPU, or this process on a CPU; NaN on Windows."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    try:
        import resource
    except ImportError:
        return float("nan")
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (2**20 if sys.platform == "darwin" else 2**10)


def markdown_table(header: str, rows: list[str]) -> list[str]:
    """A table in Markdown, of cells that are separated by " | "."""
    return [f"| {header} |", "|---" * (header.count(" | ") + 1) + "|", *(f"| {row} |" for row in rows), ""]


def benchmark(device: str | None = None, rounds: int = 5) -> Iterator[str]:
    """Measures, and gives the report line by line, in Markdown; see the module's docstring.

    Args:
        rounds: how often each piece of work is timed.

    Raises:
        ValueError: a device that is not there; rounds < 1.
    """
    where = best_device(device)
    if rounds < 1:
        raise ValueError(f"expected rounds >= 1, got {rounds}")
    here = torch.cuda.get_device_name(where) if where.type == "cuda" else f"{torch.get_num_threads()} threads"
    yield f"torch {torch.__version__}, {where.type}, {here}; median of {rounds}\n"
    peaks = counted(products(where), where, rounds)
    yield from markdown_table("matrix product | GFLOP/s", [f"{name} | {x.gflops:.0f}" for name, x in peaks.items()])

    torch.manual_seed(0)
    fresh = CoDi(preset("small"), VOCABULARY).to(where, memory_format=torch.channels_last)
    theirs, rows = of_diffusers(fresh), []
    for precision, peak in peaks.items():
        works = denoiser_steps(fresh, precision)
        if theirs is not None:
            works[f"image, diffusers, batch {BATCHES['image']}"] = step_of_diffusers(theirs, fresh, precision)
        for name, x in counted(works, where, rounds).items():
            share = f"{x.gflops:.0f} | {x.gflops / peak.gflops:.2f}"
            rows.append(f"{name} | {precision} | {x.flops / 1e9:.1f} | {1000 * x.seconds:.0f} | {share}")
    yield from markdown_table("training step | precision | GFLOP | ms | GFLOP/s | share of the peak", rows)

    shipped = CoDi.from_pretrained(device=str(where))
    found = timed(samplings(shipped, theirs), where, rounds)
    in_bf16 = timed(samplings(shipped, theirs, "bf16"), where, rounds)
    rows = [f"{name} | {found[name]:.2f} | {in_bf16[name]:.2f}" for name in found]
    yield from markdown_table("sampling, to latents | fp32, s | bf16, s", rows)
    yield from markdown_table("a new process | s", [f"{name} | {x:.2f}" for name, x in cold_starts(rounds).items()])
    yield f"memory at most: {peak_memory(where):.0f} MiB"
