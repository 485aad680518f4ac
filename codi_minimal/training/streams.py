"""The data of stages 3 to 5: pairs that are rendered and encoded once, and the samples of latent alignment.

The autoencoders and prompt encoders are frozen by then. A step of latent alignment sees two modalities, and no third.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from codi_minimal.checkpoint import copy_named, digest, read_tensors, write_tensors
from codi_minimal.codi import CoDi
from codi_minimal.config import TrainConfig
from codi_minimal.data import OPEN, PAIRINGS, WRITTEN, Corpus
from codi_minimal.data.corpus import Samples
from codi_minimal.device import seed_generator, step_seed
from codi_minimal.lock import one_at_a_time
from codi_minimal.training.conditions import mixed_condition
from codi_minimal.training.prompts import same_meaning
from codi_minimal.training.ranks import first_rank_first, of_this_rank, texts_of_all
from codi_minimal.training.run import Run
from codi_minimal.training.state import ADVICE

CHUNK = 128  # samples that are encoded at a time
TEXT_IMAGE, TEXT_AUDIO, TEXT_VIDEO, AUDIO_VIDEO = PAIRINGS
# The paper trains latent alignment link by link: on a pairing, and V and the attention of these modalities alone.
CHAIN = {
    "text-image": (TEXT_IMAGE, ("text", "image")),
    "text-audio": (TEXT_AUDIO, ("audio",)),
    "audio-video": (AUDIO_VIDEO, ("video",)),
}
TURNS = {
    "environment": PAIRINGS,
    # audio and video meet in every other step: the onset, which only they share, can be learned nowhere else
    "joint": (TEXT_IMAGE, AUDIO_VIDEO, TEXT_AUDIO, AUDIO_VIDEO, TEXT_VIDEO, AUDIO_VIDEO),
    "beside-text": (TEXT_IMAGE, TEXT_VIDEO, TEXT_AUDIO, TEXT_VIDEO),
    "beside-image": (TEXT_IMAGE,),
    "beside-audio": (AUDIO_VIDEO, AUDIO_VIDEO, AUDIO_VIDEO, TEXT_AUDIO),
    "beside-video": (AUDIO_VIDEO, AUDIO_VIDEO, AUDIO_VIDEO, TEXT_VIDEO),
    **{f"{stage}-{link}": (pairing,) for stage in ("environment", "joint") for link, (pairing, _) in CHAIN.items()},
}
ALL_TURNS = ("environment", "joint")  # stages of all modalities
ALIKE = 0.08  # hard negatives come from this share of the samples, those whose prompts are nearest to one of them
P_UNPROMPTED = 0.5  # share of the samples without a prompt, so that the environment is the only condition


@dataclass(frozen=True)
class Cache:
    """Samples of one pairing; `drawn` makes new captions of them at every call.

    `latents[m]` (n, *latent_shape) and `prompts[m]` (n, d) are those of the modalities m other than text, on the
    device of the run.
    """

    drawn: Samples
    latents: dict[str, Tensor]
    prompts: dict[str, Tensor]


@torch.no_grad()
def tabulated(f: Callable[[list[str]], Tensor], corpus: Corpus) -> Callable[[Sequence[str]], Tensor]:
    """A frozen f, list of captions → (b, ...), computed once for every caption of the corpus."""
    captions = corpus.all_captions()
    row = {caption: i for i, caption in enumerate(captions)}
    table = torch.cat([f(captions[i : i + CHUNK]) for i in range(0, len(captions), CHUNK)])
    return lambda captions: table[torch.tensor([row[caption] for caption in captions])]


def turns_of(stage: str, pairings: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """The turns of a stage that the data has pairs for.

    Pairings that the paper does not train (image with audio or video) follow in the stages of all modalities.
    """
    found = tuple(pairing for pairing in TURNS[stage] if pairing in pairings)
    more = tuple(pairing for pairing in pairings if pairing not in PAIRINGS) if stage in ALL_TURNS else ()
    return found + more


def cache_size(model: CoDi, pairing: Sequence[str], plan: TrainConfig) -> int:
    """How many samples of a pairing are encoded once; fewer if one of its modalities is costly."""
    return plan.video_cache if any(model.modalities[m].costly for m in pairing) else plan.cache


@torch.no_grad()
@first_rank_first()
def build_cache(run: Run, pairing: Sequence[str]) -> Cache:
    """Draws, renders and encodes the samples of a pairing, or reads what an earlier start or another stage has left.

    Raises:
        ValueError: the file there is damaged, or of another seed, other data, or other encoders.
    """
    name = "-".join(pairing)
    path, generator = (run.caches or run.folder) / f"cache-{name}.safetensors", run.generator(name)
    drawn = run.corpus.pairs(pairing).draw(cache_size(run.model, pairing, run.config.train), generator)
    n = len(drawn)
    encoded = {m: run.model.modalities[m] for m in pairing if m != "text"}
    # of the trained parameters alone: another machine may round the scale and shift, measured afterwards, differently
    encoders = nn.ModuleList(part for m in encoded.values() for part in (m.autoencoder, m.prompt))
    made_of = {"seed": str(run.seed), "n": str(n), "source": run.corpus.identity}
    made_of["encoders"] = digest(dict(encoders.named_parameters()))
    tensors = {f"latent.{m}": torch.empty(n, *modality.latent_shape) for m, modality in encoded.items()}
    tensors |= {f"prompt.{m}": torch.empty(n, run.config.model.d) for m in encoded}
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)  # it may be the first file of a run
        with one_at_a_time(path):  # another stage may be making it
            if not path.exists():
                for rows in (slice(start, start + CHUNK) for start in range(0, n, CHUNK)):
                    for m, modality in encoded.items():
                        x, (z, c) = drawn.render(m, rows, generator).to(run.device), (f"latent.{m}", f"prompt.{m}")
                        tensors[z][rows], tensors[c][rows] = modality.encode(x), modality.prompt(x)
                write_tensors(path, tensors, made_of)
    kept, metadata = read_tensors(path)
    for key, value in made_of.items():
        if (came := metadata.get(key)) != value:
            raise ValueError(f"expected {path} to be of {key} {value}, got {came}: {ADVICE}")
    copy_named(tensors, kept, f"the cache {path}")
    kinds = ("latent", "prompt")
    return Cache(drawn, *({m: tensors[f"{kind}.{m}"].to(run.device) for m in encoded} for kind in kinds))


@dataclass(frozen=True)
class Pair:
    """n samples of two modalities: latents z0[m], prompts C_m(x_m), and a condition C (n, d) with rows of zeros.

    `positives`: which captions of all ranks' samples mean the same; None without captions. `alike`: the prompts of all
    samples are nearly the same, and what prompts leave out tells them apart, as the timing of sounds and clips.
    """

    z0: dict[str, Tensor]
    prompts: dict[str, Tensor]
    cond: Tensor
    positives: Tensor | None
    alike: bool


def nearest(prompts: Tensor, b: int, center: int, generator: torch.Generator) -> Tensor:
    """Hard negatives for L_Con: b different samples whose prompts are among the nearest to that of sample `center`.

    Their prompts do not tell them apart, so that V must encode what prompts leave out.

    Args:
        prompts: (n, d) of all samples.

    Returns:
        (b,) on the CPU, out of the share ALIKE of the samples whose prompts are nearest, or of the nearest b if these
        are more.
    """
    with torch.autocast(prompts.device.type, enabled=False):  # in bfloat16 most of the nearest would be equally near
        cosine = prompts @ prompts[center]
    near = cosine.topk(min(len(prompts), max(b, int(ALIKE * len(prompts))))).indices.cpu()
    return near[torch.randperm(len(near), generator=generator)[:b]]  # none of them twice


def open_streams(run: Run, stage: str) -> Callable[[int, torch.Generator], Pair]:
    """Builds or reads the caches of a stage's pairings; returns the function that draws the samples of step i."""
    cfg, corpus, turns = run.config.train, run.corpus, turns_of(stage, run.corpus.pairings)
    caches = {pairing: build_cache(run, pairing) for pairing in dict.fromkeys(turns)}
    text = run.model.modalities["text"]
    encode, prompt = tabulated(text.encode, corpus), tabulated(text.prompt, corpus)

    def draw(i: int, generator: torch.Generator) -> Pair:
        cache = caches[turns[i % len(turns)]]
        rng = random.Random(int(torch.randint(2**62, (), generator=generator)))
        idx = torch.randint(len(cache.drawn), (run.batch(stage),), generator=generator)
        common = random.Random(step_seed(run.seed, i, stage))  # the same in all ranks, whose samples are compared
        if alike := len(cache.latents) == 2 and common.random() < 0.5:
            prompts = next(iter(cache.prompts.values()))
            together = seed_generator(common.getrandbits(62))  # so that no rank draws what another one has
            rows = nearest(prompts, run.stage(stage).batch, common.randrange(len(prompts)), together)
            idx = of_this_rank(rows)
        z0, prompts = ({m: x[idx] for m, x in of.items()} for of in (cache.latents, cache.prompts))
        true, positives = list(prompts.values()), None
        if len(z0) == 1:  # the other stream is text
            captions = cache.drawn.captions(rng, idx, WRITTEN)
            z0, prompts = {"text": encode(captions), **z0}, {"text": prompt(captions), **prompts}
            true = [prompt(cache.drawn.captions(rng, idx, OPEN)), *true]
            positives = same_meaning(texts_of_all(captions), corpus.meaning).to(run.device)
        cond = mixed_condition(true, None, generator, P_UNPROMPTED, cfg.cond_noise, cfg.p_single)
        return Pair(z0, prompts, cond, positives, alike)

    return draw
