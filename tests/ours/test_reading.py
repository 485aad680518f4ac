"""L_Read: what the environment is read as, and what it is to be read as."""

import copy

import pytest
import torch
import torch.nn.functional as F

from codi_minimal.alignment import Environment, EnvironmentAttention
from codi_minimal.alignment.environment import CLOCK
from codi_minimal.ours.reading import Reading, reading_loss
from codi_minimal.prompts import mix
from tests.denoisers.test_unet import awake
from tests.models import random_codi

WIDTH = CLOCK + 16  # of a token


def test_it_is_the_distance_to_the_mixture_of_the_prompt_and_those_of_the_streams():
    cond, a, b, residual = (F.normalize(torch.randn(3, 8), dim=-1) for _ in range(4))
    cond[0] = 0  # no prompt
    goal = torch.cat([mix([a, b])[:1], mix([cond, a, b])[1:]])
    expected = (cond + residual - goal).square().sum(dim=1).mean()
    seen, env = [], torch.randn(3, 2, WIDTH)

    def reader(c, env):
        seen.append((c, env))
        return residual[:, None]

    torch.testing.assert_close(reading_loss(reader, env, [a, b], cond), expected)
    assert torch.equal(seen[0][0], cond[:, None]) and seen[0][1] is env


def test_a_reader_learns_what_the_tokens_stand_for():
    torch.manual_seed(0)
    reader, to_tokens = awake(EnvironmentAttention(8, WIDTH, places=1)), torch.randn(8, 2 * 16) * 2
    optimizer = torch.optim.Adam(reader.parameters(), lr=1e-2)
    prompts = F.normalize(torch.randn(64, 8), dim=-1)
    env = Environment.of([F.pad((prompts @ to_tokens).reshape(64, 2, 16), (0, CLOCK))])
    losses = []
    for _ in range(150):
        losses.append(reading_loss(reader, env, [prompts], torch.zeros(64, 8)))
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.1 * losses[0]


@pytest.mark.parametrize(("wiring", "read"), [("others", True), ("pooled", True), ("own", False), ("off", False)])
def test_there_is_nothing_to_read_where_no_stream_sees_another(wiring, read):
    model = copy.deepcopy(random_codi())
    object.__setattr__(model.config.train, "wiring", wiring)
    sizes = model.config.model
    seen = {name: torch.randn(2, 2, sizes.d_env) for name in ("text", "image")}
    prompts = {name: torch.randn(2, sizes.d) for name in seen}
    loss = Reading().loss(model, seen, prompts, torch.zeros(2, sizes.d), torch.Generator().manual_seed(0))
    assert (loss is not None) == read
