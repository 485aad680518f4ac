"""One step of training: a bounded gradient, AdamW, and the average of the weights."""

import math

import numpy as np
from numpy import ndarray

BETAS, EPS, MOST, WARMUP, DECAY = (0.9, 0.99), 1e-8, 1.0, 100, 0.999


def learning_rate(i: int, steps: int, lr: float) -> float:
    """A line up, over 100 steps or half of all, and half a cosine down."""
    warmup = min(WARMUP, steps // 2)
    if i < warmup:
        return lr * (i + 1) / warmup
    return lr * 0.5 * (1 + math.cos(math.pi * (i - warmup) / (steps - warmup)))


def average_decay(i: int) -> float:
    """What the average keeps of itself at step i."""
    return min(DECAY, (1 + i) / (10 + i))


def train(theta: ndarray, gradients: ndarray, lr: float) -> tuple[ndarray, ndarray]:
    """θ (n,), all tensors in one row, and its average after a step for each of the gradients (steps, n)."""
    average, m, v, (b1, b2) = theta, 0 * theta, 0 * theta, BETAS
    for i, g in enumerate(gradients):
        g = g * min(1, MOST / (np.sqrt((g * g).sum()) + 1e-6))
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        step = (m / (1 - b1 ** (i + 1))) / (np.sqrt(v / (1 - b2 ** (i + 1))) + EPS)
        theta = theta - learning_rate(i, len(gradients), lr) * step
        average = average_decay(i) * average + (1 - average_decay(i)) * theta
    return theta, average
