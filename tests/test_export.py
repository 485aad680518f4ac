"""torch.export with a free batch: what a port starts from takes batches of any size."""

import pytest
import torch
from torch.export import Dim, export

from codi_minimal.alignment import Environment
from tests.models import random_codi

pytestmark = pytest.mark.slow

BATCH = {0: Dim("b", min=1, max=64)}


def inputs(name: str, b: int) -> tuple[torch.Tensor, ...]:
    model = random_codi()
    generator = torch.Generator().manual_seed(b)
    m = model.modalities[name]
    z_t, t = torch.randn(b, *m.latent_shape, generator=generator), torch.full((b,), 400)
    cond = torch.randn(b, model.config.model.d, generator=generator)
    env = Environment.of([torch.randn(b, 5, model.config.model.d_env, generator=generator)])
    return z_t, t, cond, env


# one and two dimensions, with frames and without, with a clock and without
@pytest.mark.parametrize(
    ("name", "part"),
    [("text", "denoiser"), ("video", "denoiser"), ("text", "environment"), ("video", "environment")],
)
def test_networks_export_with_a_free_batch(name, part):
    network = getattr(random_codi().modalities[name], part)
    given = 4 if part == "denoiser" else 2  # V takes z_t and t
    shapes = (BATCH, BATCH, BATCH, Environment(BATCH, BATCH))[:given]
    program = export(network, inputs(name, 3)[:given], dynamic_shapes=shapes).module()
    for b in (2, 5):
        x = inputs(name, b)[:given]
        torch.testing.assert_close(program(*x), network(*x), rtol=1e-4, atol=1e-5)
