"""Ours: L_Read, which teaches the environment to name what the frozen prompt encoders see.

Source: our own; it applies the idea of bridging alignment (CoDi sect. 3.2) to noisy latents.
Buys: see docs/ablation.md, `python -m codi_minimal experiment additions`.
Without it: remove this file and its line in `recipes.py`; V and the attention are then trained on L_Cross + λ L_Con.
"""

from collections.abc import Callable, Sequence

from torch import Tensor


def reading_loss(
    reader: Callable[[Tensor, Tensor], Tensor], env: Tensor, streams: Sequence[Tensor], cond: Tensor
) -> Tensor:
    """L_Read = ‖C + R(C, V) − (C + Σ_B C_B) / n‖², where R is a denoiser's attention from C to the environment.

    Bridging alignment has put the prompts C_B(x_B) of all modalities into one space that every denoiser reads. Here V
    learns to predict, from z_t^B alone, what the frozen C_B gives for the clean x_B. The least squares are the mean of
    all that is possible, a short vector where z_t^B shows little. No pair is needed, so that any stream learns to read
    any other.

    Args:
        reader: (C (b, 1, d), env) → residual (b, 1, d).
        env: (b, n, d_env), the tokens of all `streams`, and of nothing else.
        streams: C_B(x_B) (b, d) of each of them.
        cond: C (b, d); rows of zeros are no prompt.
    """
    prompted = (cond.abs().sum(dim=-1, keepdim=True) > 0).to(cond)                          # b 1
    mixture = (cond + sum(streams)) / (prompted + len(streams))
    return (cond + reader(cond[:, None], env)[:, 0] - mixture).square().sum(dim=-1).mean()
