"""Linear probes of the environment: which attributes can be read from V_m(z_t)?

Where joint generation fails to agree, either V_m(z_t) lacks an attribute, or the other streams do not use it. A linear
classifier on the tokens, trained on one half of the scenes and tested on the other, shows what can be read, over t.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from codi_minimal.codi import CoDi
from codi_minimal.data import ATTRIBUTES_OF
from codi_minimal.data.world import World
from codi_minimal.device import seed_generator
from codi_minimal.diffusion import q_sample
from codi_minimal.evaluation.coherence import said_by
from codi_minimal.evaluation.readers import CHANCE, VALUES, items_of
from codi_minimal.evaluation.report import command, save, table
from codi_minimal.evaluation.statistics import Estimate, share
from codi_minimal.experiments.base import Place, validation

TIMES = (0.0, 0.2, 0.4, 0.6, 0.8)  # shares of T


def probe(
    model: CoDi, data: Place, out: Path, samples: int = 2000, seed: int = 0, progress: bool = True
) -> dict[str, Any]:
    """Linear probes on V_m(z_t): half of the samples train them, half test them.

    Returns:
        "accuracy": modality → attribute that it carries → t → share.
    """
    generator = seed_generator(seed)
    scene, renders = World(validation(model, data)).sample(samples, generator)
    accuracy: dict[str, dict[str, dict[str, Estimate]]] = {}
    for name in tqdm(ATTRIBUTES_OF, desc="probe", disable=not progress):
        accuracy[name] = {attribute: {} for attribute in ATTRIBUTES_OF[name]}
        z0 = model.in_batches(model.modalities[name].encode, renders[name]).cpu()
        said = said_by({name: renders[name]}, scene)
        for share_of_T in TIMES:
            t = int(share_of_T * model.config.model.T)
            tokens = look(model, name, z0, t, generator)
            for attribute, rows in accuracy[name].items():
                told = said[attribute] >= 0  # a caption may leave it out
                labels = torch.unique(said[attribute][told], return_inverse=True)[1]
                items = [ids[told] for ids in items_of([name], scene)]
                rows[str(t)] = linear(tokens[told], labels, len(VALUES[attribute]), seed, items=items)
    made_by = command("experiment probe", data="DATA", samples=samples, seed=seed)
    report = {"command": made_by, "accuracy": accuracy}
    return save(out, "probe", report, markdown(report))


@torch.no_grad()
def look(model: CoDi, name: str, z0: Tensor, t: int, generator: torch.Generator) -> Tensor:
    """V_m(z_t) (n, tokens · d_env) at one t."""
    m = model.modalities[name]

    def tokens(pairs: Tensor) -> Tensor:
        at = torch.full((len(pairs),), t, device=pairs.device)
        return m.environment(q_sample(model.schedule, pairs[:, 0], at, pairs[:, 1]), at).flatten(1)

    return model.in_batches(tokens, torch.stack([z0, m.noise(len(z0), generator)], 1)).cpu()


def linear(x: Tensor, y: Tensor, classes: int, seed: int, items: Sequence[Tensor] = ()) -> Estimate:
    """Accuracy on the second half of x (n, e) with labels y (n,) of a linear classifier trained on the first.

    The interval is clustered by `items`, see `statistics.share`.
    """
    half = len(x) // 2
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = torch.nn.Linear(x.shape[1], classes)
    optimizer = torch.optim.AdamW(net.parameters(), 1e-2, weight_decay=0.1)
    for _ in range(150):
        optimizer.zero_grad()
        F.cross_entropy(net(x[:half]), y[:half]).backward()
        optimizer.step()
    return share(net(x[half:]).argmax(1) == y[half:], items=[ids[half:] for ids in items])


def markdown(report: Mapping[str, Any]) -> str:
    """One table: one row for each modality and attribute, one column for each t."""
    rows = [
        (f"V_{name}: {attribute}", *found.values(), CHANCE[attribute])
        for name, attributes in report["accuracy"].items()
        for attribute, found in attributes.items()
    ]
    times = next(iter(next(iter(report["accuracy"].values())).values()))
    return f"""# What can be read from V

`{report["command"]}`. Data: validation split. Accuracy of linear probes on V_m(z_t), with 95 % intervals.

{table(("", *(f"t = {t}" for t in times), "chance"), rows)}
"""
