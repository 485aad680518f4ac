import torch
from torch.nn import functional as F

from codi_minimal.prompts import clip_loss, repeated

GENERATOR = torch.Generator().manual_seed(0)
X, Y = (F.normalize(torch.randn(6, 16, generator=GENERATOR), dim=-1) for _ in range(2))
ALONE = torch.eye(6, dtype=torch.bool)
CAPTIONS = ["a red seven", "nine", "a red seven", "something green", "nine", "nine"]


def test_where_no_caption_repeats_it_is_clips(answer, close):
    close(answer.clip_loss(X, Y, 14.0, ALONE), clip_loss(X, Y, 14.0), "both directions, and half of their sum.")


def test_captions_that_repeat_share_the_target(answer, close):
    same = repeated(CAPTIONS)
    hint = "a row with three matches has the target 1/3 for each of them."
    close(answer.clip_loss(X, Y, 14.0, same), clip_loss(X, Y, 14.0, same), hint)


def test_rows_and_columns_have_targets_of_their_own(answer, close):
    one_way = ALONE.clone()
    one_way[0, 1:3] = True  # x_0 matches three of y, and no other x matches more than its own
    hint = "for the other direction transpose the matches, and divide by the sums of these rows."
    close(answer.clip_loss(X, Y, 5.0, one_way), clip_loss(X, Y, 5.0, one_way), hint)


def test_its_gradient_is_the_packages_and_large_scales_stay_finite(answer, close):
    same, grads = repeated(CAPTIONS), []
    for loss in (answer.clip_loss, clip_loss):
        x = X.clone().requires_grad_()
        loss(x, Y, 100.0, same).backward()
        grads.append(x.grad)
    assert torch.isfinite(grads[0]).all(), "Hint: log_softmax stays finite where the log of a softmax does not."
    close(*grads, "no step of the loss may be detached.", rtol=1e-4, atol=1e-5)
