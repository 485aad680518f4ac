"""Stage 2, bridging alignment: C_text with C_image, then C_audio and C_video each against the frozen C_text."""

import random
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from codi_minimal.data import WORDS, Pairs, caption, meaning, paraphrases, sample_subset
from codi_minimal.prompts import Temperature, clip_loss, composition_loss, repeated
from codi_minimal.training.run import Run


def wholes_and_parts(n: int, rng: random.Random) -> tuple[list[str], list[list[str]]]:
    """Text alone: n captions, and for each of them two that together say the same.

    "a red seven sliding left" has the parts "something red" and "a seven that moves left"; a caption that says one
    thing only has two paraphrases of itself.
    """
    wholes, parts = [], [[], []]
    for _ in range(n):
        said = {name: rng.choice(WORDS[name]) for name in sample_subset(tuple(WORDS), rng)}
        names = rng.sample(list(said), len(said))
        cut = rng.randint(1, max(1, len(names) - 1))
        wholes.append(caption(said, rng))
        parts[0].append(caption({k: said[k] for k in names[:cut]}, rng))
        parts[1].append(caption({k: said[k] for k in names[cut:] or names}, rng))
    return wholes, parts


def same_meaning(captions: Sequence[str]) -> Tensor:
    """Which captions of a batch say the same, in whatever words: positives (b, b) of a contrastive loss."""
    return repeated([meaning(text) for text in captions])


def train_bridge(run: Run, name: str, start_from: str | None = None) -> None:
    """Align C_name to C_text on pairs of text and `name`; only the first, text+image, also trains C_text.

    `start_from`: the modality whose trained encoder it takes over what fits of. Further from a checkpoint C_text stays
    as it is, for all others have learned to read it, and the encoder goes on from its own weights.

    While C_text is trained, text alone teaches it that meanings add up, and the words that images never show.
    """
    stage = f"prompts-text-{name}"
    bridges = (s for s in run.config.train.stages if s.startswith("prompts-"))
    first = run.further is None and stage == next(bridges)
    c_text, c_other = run.model.modalities["text"].prompt, run.model.modalities[name].prompt
    if start_from is not None and run.further is None:
        c_other.start_from(run.model.modalities[start_from].prompt)
    for addition in run.model.recipe.additions:
        addition.before_bridging(run.model, name)
    temperature = Temperature().to(run.device)
    pairs, batch = Pairs(run.source, ("text", name)), run.stage(stage).batch
    modules = nn.ModuleDict({"other": c_other, "temperature": temperature, **({"text": c_text} if first else {})})

    def step(i: int, generator: torch.Generator) -> dict[str, Tensor]:
        rng = random.Random(generator.initial_seed())
        drawn = pairs.draw(batch, generator)
        captions = drawn.captions(rng)
        other = c_other(drawn.render(name, generator=generator).to(run.device))
        losses = {"loss": clip_loss(c_text(captions), other, temperature(), same_meaning(captions).to(run.device))}
        if first:
            wholes, parts = wholes_and_parts(batch, rng)
            positives = same_meaning(wholes).to(run.device)
            losses["composition"] = composition_loss(
                c_text(wholes), [c_text(p) for p in parts], temperature(), positives
            )
            losses["loss"] = losses["loss"] + losses["composition"]
        return losses

    run.fit(stage, modules, step)
    generator = run.generator(stage)
    with torch.no_grad():
        drawn = pairs.draw(512, generator)
        own = c_other(drawn.render(name, generator=generator).to(run.device))
        text = c_text(drawn.captions(random.Random(generator.initial_seed())))
        for addition in run.model.recipe.additions:
            addition.after_bridging(run.model, name, own, text, paraphrases() if first else None)
