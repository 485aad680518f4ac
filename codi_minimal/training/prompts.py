"""Stage 2, bridging alignment: C_text with C_image, then C_audio and C_video each against the frozen C_text."""

import random
from collections.abc import Callable, Hashable, Sequence
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from codi_minimal.data import WHOLE, Pairs, meaning
from codi_minimal.prompts import Temperature, clip_loss, repeated
from codi_minimal.training.ranks import mean_of_all, rows_of_all, texts_of_all
from codi_minimal.training.run import Run

Voices: TypeAlias = Callable[[], tuple[Sequence[Tensor], Sequence[int]]]


def same_meaning(captions: Sequence[str], meaning: Callable[[str], Hashable] = meaning) -> Tensor:
    """Which captions of a batch mean the same, in whatever words: positives (b, b) of a contrastive loss."""
    return repeated([meaning(text) for text in captions])


def composition_loss(
    whole: Tensor, parts: Sequence[Tensor], logit_scale: Tensor | float, positives: Tensor | None = None
) -> Tensor:
    """Ours: clip_loss(c / ‖c‖, whole), c = mean_i parts_i: the captions of the parts find the caption of the whole.

    Composable conditioning (CoDi sect. 3.2) adds embeddings, and relies on the space of CLIP, whose large corpus makes
    the sum mean what its parts mean. In a space that is learned from one small world, C("red") + C("seven") need not
    point where C("a red seven") does, and the verbs of motion, which no picture shows, have no meaning when C_text is
    frozen. This loss teaches both from text alone.

    Args:
        whole, parts: unit vectors (b, d) of whole captions, and a list of such batches for their parts.
        logit_scale, positives: as for `clip_loss`.
    """
    return clip_loss(F.normalize(torch.stack(list(parts)).mean(dim=0), dim=-1), whole, logit_scale, positives)


def train_bridge(run: Run, name: str, start_from: str | None = None, voices: Voices | None = None) -> None:
    """Aligns C_name to C_text on pairs of text and `name`. Only the first bridge also trains C_text.

    While C_text is trained, captions alone teach it that meanings add up, and the words that images never show. From a
    checkpoint C_text stays as it is, because all other modules read it, and C_name goes on from its own weights.

    Args:
        start_from: the modality whose trained encoder gives C_name its first weights where they fit.
        voices: makes further recordings and their digits, for `TrainConfig.synthetic_voices`.
    """
    stage, modalities, additions = f"prompts-text-{name}", run.model.modalities, run.model.recipe.additions
    first = run.further is None and stage == next(s for s in run.config.train.stages if s.startswith("prompts-"))
    c_text, c_other = modalities["text"].prompt, modalities[name].prompt
    if start_from is not None and run.further is None:
        c_other.start_from(modalities[start_from].prompt)
    temperature = Temperature().to(run.device)
    corpus = run.corpus
    pairs = corpus.pairs(("text", name))
    if voices is not None and run.config.train.synthetic_voices and isinstance(pairs, Pairs):
        pairs.add_voices(*voices())
    modules = nn.ModuleDict({"other": c_other, "temperature": temperature, **({"text": c_text} if first else {})})

    def of_all(x: Tensor) -> Tensor:
        return rows_of_all(x, run.stage(stage).batch)

    def same(captions: Sequence[str]) -> Tensor:
        return same_meaning(texts_of_all(captions), corpus.meaning).to(run.device)

    def step(i: int, generator: torch.Generator) -> dict[str, Tensor]:
        rng, batch = random.Random(generator.initial_seed()), run.batch(stage)
        drawn = pairs.draw(batch, generator)
        captions = drawn.captions(rng)
        data = drawn.render(name, generator=generator)
        for addition in additions:
            if name in (augment := addition.augmentations()):
                data = augment[name](data, generator)
        other = c_other(data.to(run.device))
        losses = {"loss": clip_loss(of_all(c_text(captions)), of_all(other), temperature(), same(captions))}
        if first and (texts := corpus.wholes_and_parts(batch, rng)):
            whole, parts = of_all(c_text(texts[0])), [of_all(c_text(part)) for part in texts[1]]
            losses["composition"] = composition_loss(whole, parts, temperature(), same(texts[0]))
            losses["loss"] = losses["loss"] + losses["composition"]
        with torch.no_grad():
            all_said = c_text(drawn.captions(rng, kept=WHOLE))
        for addition in additions:
            if (more := addition.bridging_loss(other, all_said)) is not None:
                losses[addition.name] = mean_of_all(more, run.stage(stage).batch)
                losses["loss"] = losses["loss"] + losses[addition.name]
        return losses

    run.fit(stage, modules, step)
