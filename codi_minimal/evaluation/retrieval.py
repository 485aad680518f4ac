"""A report for data that has no judges: retrieval in the prompt space, and Fréchet distances of prompt embeddings.

The encoders that judge are the model's own C_m. The report therefore puts real data beside what is generated: if C_m
cannot tell real data apart, it says nothing about what is generated.
"""

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from codi_minimal.codi import CoDi
from codi_minimal.data import OwnPairs
from codi_minimal.data.own_pairs import LEVELS, OwnSamples, words_of
from codi_minimal.evaluation.generation import BatchedModel
from codi_minimal.evaluation.quality import frechet_estimate
from codi_minimal.evaluation.report import save, table
from codi_minimal.evaluation.statistics import Estimate, share
from codi_minimal.inputs import check_whole
from codi_minimal.prompts import repeated

MOST_OF_A_PAIRING = 200
TWO = 2  # pairs, of which retrieval can find the wrong one, and of which a distance has a spread


def evaluate_pairs(
    model: CoDi,
    pairs: OwnPairs,
    out: str | Path,
    samples: int = MOST_OF_A_PAIRING,
    seed: int = 0,
    workers: int = 1,
    command: str = "",
    progress: bool = True,
) -> dict[str, Any]:
    """Measure a model on the pairs that its training did not see; write own-pairs.md and own-pairs.json.

    Args:
        pairs: all of them; the model's `split_seed` fixes the share that is held out.
        samples: at most so many of each pairing. command: the command line that repeats it, for the report.

    Returns:
        "retrieval": "a → b" → "real", "generated" and "chance"; "distances": modality → whose distance.

    Raises:
        ValueError: the pairs have a modality that the model lacks, or a caption of which it knows no word; or too few
            of them are held out.
    """
    check_whole("samples", samples, TWO)
    if unknown := {name for pairing in pairs.pairings for name in pairing} - set(model.modalities):
        raise ValueError(f"expected pairs of {', '.join(model.modalities)}, got {', '.join(sorted(unknown))}")
    split_seed = model.config.train.split_seed
    seen, held_out = (pairs.share(split, split_seed) for split in ("train", "validation"))
    enough = [pairing for pairing in held_out.pairings if len(held_out.items_of(pairing)) >= TWO]
    if not enough:
        raise ValueError(f"expected {TWO} or more pairs that are held out, got too few of {len(pairs.texts)} items")
    ways = [way for pairing in enough for way in (pairing, pairing[::-1])]
    total = sum(min(samples, len(held_out.items_of(way))) for way in ways)
    retrieval: dict[str, dict[str, Any]] = {}
    made: dict[str, list[Tensor]] = {}
    with tqdm(total=total, unit="sample", disable=not progress) as bar:
        batched = BatchedModel(model, seed, bar=bar, workers=workers)
        for a, b in ways:
            drawn = held_out.pairs((a, b)).draw(samples, torch.Generator().manual_seed(seed))
            given, own = _data(drawn, a, seed), _data(drawn, b, seed)
            same = same_items(given) | same_items(own)
            generated = embedded(model, b, batched({a: given}, (b,), len(drawn))[b])
            asked, real = embedded(model, a, given), embedded(model, b, own)
            made.setdefault(b, []).append(generated)
            retrieval[f"{a} → {b}"] = {
                "real": found(real, asked, same),
                "generated": found(generated, asked, same),
                "chance": same.float().mean().item(),
            }
    distances = {b: _distances(model, b, torch.cat(parts), seen, held_out) for b, parts in made.items()}
    report = {"command": command, "source": held_out.name, "retrieval": retrieval, "distances": distances}
    return save(Path(out), "own-pairs", report, markdown(report))


def _data(samples: OwnSamples, name: str, seed: int) -> Any:
    return samples.captions(random.Random(seed)) if name not in LEVELS else samples.render(name)


def same_items(data: Any) -> Tensor:
    """Which items of a batch cannot be told apart, (n, n) bool: an item and itself, and captions of equal words."""
    is_text = isinstance(data, list)
    return repeated([tuple(words_of(text)) for text in data]) if is_text else torch.eye(len(data), dtype=torch.bool)


def found(items: Tensor, prompts: Tensor, same: Tensor) -> Estimate:
    """For how many items (n, d) the nearest of all prompts (n, d) is their own, or one that is the `same` (n, n).

    An item that is nothing, a row of zeros, is not found.
    """
    nearest = (items @ prompts.T).argmax(dim=1)
    return share(same[torch.arange(len(items)), nearest] & items.any(dim=1))


@torch.no_grad()
def _distances(
    model: CoDi, name: str, generated: Tensor, seen: OwnPairs, held_out: OwnPairs
) -> dict[str, Estimate | int]:
    """Fréchet distances to held-out data, all of as many samples."""
    real, others = all_of(held_out, name), all_of(seen, name)
    rebuilt = model.decode(name, model.in_batches(model.modality(name).encode, real))
    sets = [generated, *(embedded(model, name, data) for data in (real, others[: len(real)], rebuilt))]
    sets = [x[x.any(dim=1)] for x in sets]  # a caption without words has no embedding
    n = min(map(len, sets))
    if n < TWO:
        return {"n": n}
    made, real, others, rebuilt = (x[torch.randperm(len(x), generator=_generator())[:n]] for x in sets)
    whose = {"training data": others, "reconstructed": rebuilt, "generated": made}
    return {who: frechet_estimate(x, real) for who, x in whose.items()} | {"n": n}


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def all_of(pairs: OwnPairs, name: str) -> Any:
    """All data of a modality in random order, of texts one caption each."""
    items = pairs.items_of([name])
    items = items[torch.randperm(len(items), generator=_generator())]
    return pairs.data(name, items) if name in LEVELS else [pairs.texts[i][0] for i in items.tolist()]


def embedded(model: CoDi, name: str, data: Any) -> Tensor:
    """C_m (n, d) of a batch, on the CPU; a caption without any word, as a model may write it, is a row of zeros."""
    if not isinstance(data, list):
        return model.encode_prompt(name, data).cpu()
    has_words = torch.tensor([bool(words_of(text)) for text in data])
    found = torch.zeros(len(data), model.config.model.d)
    if has_words.any():
        texts = [text for text in data if words_of(text)]
        found[has_words] = model.encode_prompt(name, texts).cpu()
    return found


def markdown(report: Mapping[str, Any]) -> str:
    """Two tables."""
    ways = [(way, row["real"], row["generated"], row["chance"]) for way, row in report["retrieval"].items()]
    whose = ("training data", "reconstructed", "generated")
    distances = [(name, *map(row.get, whose), row["n"]) for name, row in report["distances"].items()]
    return f"""# Own pairs

`{report["command"]}`. Data: {report["source"]}, held out from training. With 95 % intervals.

## Retrieval in the prompt space
"Real" is the share of held-out items of the second modality whose nearest prompt, among all of the first modality, is
their own. "Generated" is the same of what was generated from that prompt. The prompt encoders are the model's own, so
that "real" says how well they tell this data apart.

{table(("from → to", "real", "generated", "chance"), ways)}

## Fréchet distances
Between prompt embeddings and those of held-out data. Few samples make a distance larger. Compare it with that of as
many samples of the training data.

{table(("modality", *whose, "n"), distances)}
"""
