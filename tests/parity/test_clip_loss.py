"""clip_loss against open_clip's, forward and backward, for a batch whose captions are all distinct."""

import pytest
import torch
from torch.nn import functional as F

from codi_minimal.prompts import clip_loss, repeated

open_clip = pytest.importorskip("open_clip")


@pytest.mark.parametrize("positives", [None, repeated([str(i) for i in range(12)])])
def test_value_and_gradients_are_open_clips(positives):
    g = torch.Generator().manual_seed(0)
    raw = [torch.randn(12, 16, generator=g, dtype=torch.float64) for _ in range(2)]
    results = []
    for loss in (lambda x, y, s: clip_loss(x, y, s, positives), open_clip.ClipLoss()):
        leaves = [r.clone().requires_grad_() for r in raw]
        log_scale = torch.tensor(2.6593, dtype=torch.float64, requires_grad=True)
        value = loss(F.normalize(leaves[0], dim=-1), F.normalize(leaves[1], dim=-1), log_scale.exp())
        value.backward()
        results.append([value.detach(), leaves[0].grad, leaves[1].grad, log_scale.grad])
    for ours, theirs in zip(*results, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-12, atol=1e-14)
