"""Checks what callers hand in before anything runs: data of a modality (item, batch, several prompts) and numbers.

It is then worked on in batches, so that memory grows with a batch and not with the number of samples.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import suppress
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

from codi_minimal.device import sample_seed

BATCH = 64  # samples that pass through the networks at a time
MOST = 1 << 29  # numbers that all outputs of one call may hold: 2 GiB of float32, twice that while they are joined
TOLERANCE = 1e-3  # resampling and PCM rounding overshoot a range by a little
MAX_FLOAT = torch.finfo(torch.float64).max  # an integer may be larger
HUB_NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*", re.ASCII)  # "user/name", of a model or a data set
FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


class PromptWarning(UserWarning):
    """Words of a text were not understood, or ask for what this world does not have."""


@dataclass(frozen=True)
class TensorData:
    """Batches are float tensors (b, *shape) with values in [low, high]."""

    name: str
    shape: tuple[int, ...]
    low: float
    high: float

    def batch(self, value: Any) -> Tensor:
        """(b, *shape) from one item (*shape) or a batch; anything else is a ValueError."""
        with suppress(TypeError, ValueError, RuntimeError):  # `check_tensor` names its type
            value = torch.as_tensor(value)
        if isinstance(value, Tensor) and value.shape == self.shape:
            value = value[None]
        return check_tensor(self.name, value, ("b", *self.shape), self.low, self.high).clamp(self.low, self.high)

    def prompts(self, value: Any) -> list[Tensor]:
        """A list of batches: a list or tuple is several prompts of this modality, anything else is one."""
        prompts = value if isinstance(value, (list, tuple)) else [value]
        if not prompts:
            raise ValueError(f"{self.name}: expected at least one prompt, got none")
        return [self.batch(prompt) for prompt in prompts]


@dataclass(frozen=True)
class TextData:
    """Batches are lists of strings."""

    name: str
    shape: tuple[int, ...] = ()  # a string counts as one number, see `check_count`

    def batch(self, value: Any) -> list[str]:
        """A list of strings from one string or several; anything else, or an empty text, is a ValueError."""
        texts = [value] if isinstance(value, str) else value
        if not isinstance(texts, (list, tuple)) or not texts or not all(isinstance(text, str) for text in texts):
            raise ValueError(f"{self.name}: expected a string or a non-empty list of strings, got {value!r}")
        if any(not text.strip() for text in texts):
            raise ValueError(f"{self.name}: expected some words, got an empty text in {value!r}")
        return list(texts)

    def prompts(self, value: Any) -> list[list[str]]:
        """A list of batches: a list of lists is several prompts, a string or a list of strings is one."""
        several = isinstance(value, (list, tuple)) and any(isinstance(v, (list, tuple)) for v in value)
        return [self.batch(prompt) for prompt in (value if several else [value])]


def check_tensor(name: str, value: Any, shape: tuple, low: float = -math.inf, high: float = math.inf) -> Tensor:
    """The value as float32, if it is a tensor of finite floats in [low, high]. In `shape`, a letter is any length."""
    within = f" in [{low:g}, {high:g}]" if math.isfinite(high) else ""
    expected = f"{name}: expected a float tensor ({', '.join(map(str, shape))}){within}"
    if not isinstance(value, Tensor) or value.dtype not in FLOATS:
        raise ValueError(f"{expected}, got {getattr(value, 'dtype', type(value).__name__)}")
    if value.is_meta or value.layout != torch.strided:
        raise ValueError(f"{expected}, got one {'without data' if value.is_meta else f'of layout {value.layout}'}")
    came = tuple(value.shape)
    fits = [n == m or (isinstance(n, str) and m > 0) for n, m in zip(shape, came, strict=False)]
    if len(shape) != len(came) or not all(fits):
        raise ValueError(f"{expected}, got shape {came}")
    value = value.float()
    if not value.isfinite().all():
        raise ValueError(f"{expected}, got NaN or infinite values")
    if value.min() < low - TOLERANCE or value.max() > high + TOLERANCE:
        raise ValueError(f"{expected}, got values in [{value.min():.3g}, {value.max():.3g}]")
    return value


def check_whole(name: str, value: Any, least: int) -> int:
    """The value as an int, if it is an integer from `least` to 2**63 - 1."""
    if not isinstance(value, Integral) or isinstance(value, bool) or not least <= value < 2**63:
        raise ValueError(f"{name}: expected an integer from {least} to 2**63 - 1, got {value!r}")
    return int(value)


def check_number(name: str, value: Any, low: float = -math.inf, high: float = math.inf) -> None:
    """ValueError unless the value is a finite number in [low, high]."""
    number = value if isinstance(value, Real) and not isinstance(value, bool) else math.nan
    number = number.item() if isinstance(number, np.generic) else number  # MAX_FLOAT would overflow a float32
    if not (low <= number <= high and abs(number) <= MAX_FLOAT):
        least = f" of at least {low:g}" if math.isfinite(low) else ""
        expected = f"a number in [{low:g}, {high:g}]" if math.isfinite(high) else f"a finite number{least}"
        raise ValueError(f"{name}: expected {expected}, got {value!r}")


def check_flag(name: str, value: Any) -> bool:
    """The value, if it is True or False: a string such as "False" would count as true."""
    if not isinstance(value, bool):
        raise ValueError(f"{name}: expected True or False, got {value!r}")
    return value


def check_mapping(name: str, value: Any) -> dict[str, Any]:
    """A copy of a mapping by modality; None is an empty one."""
    if value is not None and not isinstance(value, Mapping):
        raise ValueError(f"{name}: expected a dict with the names of modalities as keys, got {type(value).__name__}")
    return dict(value or {})


def check_names(what: str, value: Any, known: Iterable[str], unique: bool = False) -> list[str]:
    """The names in `value`, all of them known; one string is one name. `unique`: at least one, and none twice."""
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, (Sequence, Mapping)):
        raise ValueError(f"{what}: expected a sequence of names of modalities, got {type(value).__name__}")
    names, known = list(names), list(known)
    if unknown := [name for name in names if not isinstance(name, str) or name not in known]:
        raise ValueError(f"{what}: expected a modality out of {', '.join(known)}, got {unknown[0]!r}")
    if unique and not names:
        raise ValueError(f"{what}: expected at least one modality out of {', '.join(known)}, got none")
    if unique and len(set(names)) != len(names):
        raise ValueError(f"{what}: expected each modality once, got {names}")
    return names


def per_output(what: str, value: Any, names: Sequence[str]) -> dict[str, Any]:
    """For each of `names` one number, or None: from one for all, or a dict that has one for each."""
    if not isinstance(value, Mapping):
        return dict.fromkeys(names, value)
    if missing := set(names) - set(value):
        raise ValueError(f"{what}: expected a value for each output, got none for {sorted(missing)}")
    return {name: value[name] for name in check_names(what, value, names)}


def check_count(samples: int, numbers: int) -> None:
    """ValueError if so many samples, of so many numbers each, are more than `MOST` numbers."""
    if samples * numbers > MOST:
        expected = f"expected at most {MOST // numbers:,} samples of these outputs (2 GiB)"
        raise ValueError(f"num_samples: {expected}, got {samples:,}; make several calls, each with another seed")


def check_given(
    value: Any, outputs: Sequence[str], known: Mapping[str, TensorData | TextData], joint: bool
) -> dict[str, Tensor | list[str]]:
    """The batches in a mapping by modality, none of which is generated; nothing could see them unless `joint`."""
    given = check_mapping("given", value)
    check_names("given", given, known)
    if both := [name for name in outputs if name in given]:
        raise ValueError(f"given: expected modalities that are not generated, got {both[0]!r}, which is an output")
    if given and not joint:
        raise ValueError("joint: expected True where streams are given, got False: no output by itself sees them")
    return {name: known[name].batch(item) for name, item in given.items()}


def check_sizes(batches: Mapping[str, Sized]) -> int:
    """The number of items that batches have in common; those of one item are shared. 1 if there are none."""
    sizes = {name: len(batch) for name, batch in batches.items()}
    n = max(sizes.values(), default=1)
    if any(size not in (1, n) for size in sizes.values()):
        got = ", ".join(f"{name} {size}" for name, size in sizes.items())
        raise ValueError(f"given: expected batches of {n} items, or of 1, got {got}")
    return n


def check_seeds(value: Any, b: int) -> list[int]:
    """One seed a sample, each in [0, 2**63): `sample_seed` of a single one, or the b that are given."""
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        if len(value) != b:
            raise ValueError(f"seed: expected an integer, or one for each of {b} samples, got {len(value)}")
        return [check_whole("seed", seed, 0) for seed in value]
    seed = check_whole("seed", value, 0)
    return [sample_seed(seed, k) for k in range(b)]


def slices(n: int) -> Iterator[slice]:
    """Slices of n rows, `BATCH` rows each; the last may have fewer.

    >>> [(rows.start, rows.stop) for rows in slices(100)]
    [(0, 64), (64, 100)]
    """
    return (slice(start, min(start + BATCH, n)) for start in range(0, n, BATCH))


def take(batch: Any, rows: Tensor) -> Any:
    """These rows (n,) of a batch, a tensor or a list of captions; a batch of one item is shared."""
    rows = rows % len(batch)
    return batch[rows.to(batch.device)] if isinstance(batch, Tensor) else [batch[i] for i in rows.tolist()]


def join(parts: Sequence[Any]) -> Any:
    """Batches of one modality, tensors or lists of captions, one after the other."""
    return torch.cat(list(parts)) if isinstance(parts[0], Tensor) else [item for part in parts for item in part]


def batch_of(shape: Sequence[int]) -> str:
    """The shape of a batch of such items, for error messages.

    >>> batch_of((4, 8, 8))
    '(b, 4, 8, 8)'
    """
    return f"({', '.join(['b', *map(str, shape)])})"
