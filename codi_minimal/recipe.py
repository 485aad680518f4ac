"""A recipe: how `generate` samples, and the list of what it adds to the paper."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib import import_module
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Generator, Tensor

from codi_minimal.alignment import Wiring, check_wiring
from codi_minimal.config import from_plain
from codi_minimal.diffusion import SAMPLERS
from codi_minimal.inputs import check_number, check_whole

if TYPE_CHECKING:
    from codi_minimal.codi import CoDi
    from codi_minimal.sample import Shared, Stream

ADDITIONS: dict[str, type[Addition]] = {}  # the name of an addition -> its class; each class enters itself
AUTOCAST = (None, "bf16")
GIVEN_AT = ("same t", "t = 0")
Tensors = Mapping[str, Tensor]  # one for each modality


class Addition:
    """One idea that the paper does not have. The methods of this class add nothing; a subclass overrides some.

    A subclass is a frozen dataclass of plain numbers, made by `config.checked`, in a file of its own in `ours/`.
    """

    name: ClassVar[str]  # that of the file in `ours/`
    of_digits: ClassVar[bool] = False  # whether it suits Talking Digits alone

    def __init_subclass__(cls) -> None:
        cls.name = cls.__module__.rpartition(".")[2]
        ADDITIONS[cls.name] = cls

    def augmentations(self) -> Mapping[str, Callable[[Tensor, Generator], Tensor]]:
        """For some modalities, how a batch of them is changed before C_m sees it in bridging alignment."""
        return {}

    def bridging_loss(self, own: Tensor, whole: Tensor) -> Tensor | None:
        """A further loss of bridging alignment, of prompts C_m(x) (b, d).

        `whole`: C_text (b, d) of captions that state every attribute of x that a caption can state, without a gradient.
        """
        return None

    def loss(self, model: CoDi, seen: Tensors, prompts: Tensors, cond: Tensor, generator: Generator) -> Tensor | None:
        """A further loss of latent alignment, a scalar; the joint stage multiplies it by λ.

        Args:
            seen: V_m(z_t^m) (b, n, d_env) of both streams of a pair. prompts: C_m(x_m) (b, d) of both.
            cond: C (b, d); rows of zeros are no prompt.
        """
        return None

    def rewrite(self, name: str, batch: Any) -> Any:
        """A batch of prompts or of given items of modality `name`, as `generate` is to read it."""
        return batch

    def tokens(self, model: CoDi, prompts: Mapping[str, list[Any]]) -> list[Tensor]:
        """Environment tokens (b, n, d_env) that prompts add to those of streams; b is 1 or that of the prompts.

        `prompts`: for each modality a list of prompts, each of them a batch.
        """
        return []

    def loop(self, shared: Shared, streams: Mapping[str, Stream]) -> bool:
        """Replaces `sample.joint_sample`; returns False if it did nothing."""
        return False


@dataclass(frozen=True)
class Recipe:
    """How outputs are sampled where `generate` is not told otherwise, and which additions train with it.

    The defaults add nothing to the paper, which leaves sampler, steps and guidance open. Steps, guidance and shift are
    one number, or one for each modality. A value of another type or out of range is a ValueError. Fields
    that end in `_beside` are for outputs generated together or around given streams; None: as for one output alone.
    """

    name: str = "plain"  # for reports and files
    sampler: str = "ddpm"  # or "restart", "ddim", "dpm-solver++"
    steps: int | Mapping[str, int] = 30
    guidance: float | Mapping[str, float] = 4.5
    sampler_beside: str | None = None
    steps_beside: int | Mapping[str, int] | None = None
    guidance_beside: float | Mapping[str, float] | None = None
    guidance_start: float | Mapping[str, float] = 1.0  # at t ≥ this share of T, early in sampling, there is no guidance
    wiring: Wiring = "others"  # which stream sees which others, see `alignment.wire`
    autocast: str | None = None  # "bf16" runs the denoisers in bfloat16
    additions: tuple[Addition, ...] = ()  # in the order in which they act
    given: str = "same t"  # the t at which `joint_sample` holds given streams: that of the others, or "t = 0"
    shift: float | Mapping[str, float] = 1.0  # of the timesteps, see `diffusion.shifted_timesteps`

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, Mapping):  # a copy, which no other recipe shares
                object.__setattr__(self, name, dict(value))
        if not isinstance(self.name, str):
            raise ValueError(f"recipe {self.name!r}: expected a name that is a string")
        for sampler in (self.sampler, self.sampler_of(beside=True)):
            if sampler not in list(SAMPLERS):  # which need not be hashable
                expected = f"expected a sampler out of {sorted(SAMPLERS)}"
                raise ValueError(f"recipe {self.name!r}: {expected}; got {sampler!r}")
        for name, value in (_each(self.steps) | _each(self.steps_beside, "_beside")).items():
            check_whole(f"steps{name}", value, 1)
        for name, value in (_each(self.guidance) | _each(self.guidance_beside, "_beside")).items():
            check_number(f"guidance{name}", value)
        for name, value in _each(self.guidance_start).items():
            check_number(f"guidance_start{name}", value, 0, 1)
        for name, value in _each(self.shift).items():
            check_number(f"shift{name}", value, 0.01, 100)
        check_wiring(self.wiring)
        if isinstance(self.wiring, Mapping):  # JSON has lists
            object.__setattr__(self, "wiring", {name: tuple(seen) for name, seen in self.wiring.items()})
        if self.autocast not in AUTOCAST:
            raise ValueError(f"autocast: expected one of {AUTOCAST}, got {self.autocast!r}")
        if self.given not in GIVEN_AT:
            raise ValueError(f"given: expected one of {GIVEN_AT}, got {self.given!r}")
        if not isinstance(self.additions, tuple) or not all(isinstance(a, Addition) for a in self.additions):
            raise ValueError(f"additions: expected a tuple of instances of Addition, got {self.additions!r}")

    def sampler_of(self, beside: bool = False) -> str:
        """The sampler of an output alone, or beside others."""
        return self._either("sampler", "", beside)

    def steps_of(self, name: str, beside: bool = False) -> int:
        """Steps of modality `name`, alone or beside others; one that a mapping lacks has the default."""
        return self._either("steps", name, beside)

    def guidance_of(self, name: str, beside: bool = False) -> float:
        """The guidance scale of modality `name`, alone or beside others; one that a mapping lacks has the default."""
        return self._either("guidance", name, beside)

    def _either(self, field: str, name: str, beside: bool) -> Any:
        alone, other = vars(self)[field], vars(self)[f"{field}_beside"]
        value = _of(alone, name, getattr(Recipe, field))
        return _of(other, name, value) if beside and other is not None else value

    def guidance_start_of(self, name: str) -> float:
        """The share of T below which modality `name` is guided; one that a mapping lacks always is."""
        return _of(self.guidance_start, name, Recipe.guidance_start)

    def shift_of(self, name: str) -> float:
        """The shift of modality `name`'s timesteps; one that a mapping lacks has none."""
        return _of(self.shift, name, Recipe.shift)

    def named(self) -> list[str]:
        """The modalities that mappings of the recipe and of its additions name."""
        values = [value for part in (self, *self.additions) for value in vars(part).values()]
        mappings = [value for value in values if isinstance(value, Mapping)]
        seen = self.wiring.values() if isinstance(self.wiring, Mapping) else ()
        return [name for names in (*mappings, *seen) for name in names]

    def without(self, *names: str) -> Recipe:
        """The same recipe without some of its additions, which are named by their files.

        Raises:
            ValueError: on a name that no addition has.
        """
        if unknown := [name for name in names if name not in list(ADDITIONS)]:
            raise ValueError(f"expected names of additions out of {', '.join(ADDITIONS)}; got {unknown}")
        kept = tuple(a for a in self.additions if a.name not in names)
        return Recipe(**{**vars(self), "additions": kept})

    def for_any_data(self) -> Recipe:
        """The same recipe without the additions that suit Talking Digits alone."""
        return self.without(*(a.name for a in self.additions if a.of_digits))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; `from_dict` is the inverse."""
        plain = {key: _plain(value) for key, value in vars(self).items() if key != "additions"}
        return plain | {"additions": [{"addition": a.name, **asdict(a)} for a in self.additions]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """A recipe from what `to_dict` gave, also after a trip through JSON.

        Raises:
            ValueError: on an unknown key or addition, or a value of another type or out of range.
        """
        known = cls.__dataclass_fields__
        if wrong := sorted(map(str, set(values) - set(known))) if isinstance(values, Mapping) else repr(values):
            raise ValueError(f"recipe: expected an object with the keys {', '.join(known)}; got {wrong}")
        entries, additions = values.get("additions", []), []
        if not isinstance(entries, list):
            raise ValueError(f"recipe: expected a list of additions; got {entries!r}")
        find_recipe("paper")  # imports all additions
        for entry in entries:
            name = entry.get("addition") if isinstance(entry, Mapping) else None
            if not isinstance(name, str) or name not in ADDITIONS:
                raise ValueError(f"recipe: expected an addition out of {', '.join(ADDITIONS)}; got {entry!r}")
            fields = {key: value for key, value in entry.items() if key != "addition"}
            additions.append(from_plain(ADDITIONS[name], fields, name))
        return cls(**{**values, "additions": tuple(additions)})


def find_recipe(recipe: str | Recipe) -> Recipe:
    """A recipe by its name; ValueError lists the names there are."""
    if isinstance(recipe, Recipe):
        return recipe
    # found by its name, as a plug-in is: the core does not depend on what is added to it
    recipes = import_module("codi_minimal.recipes").RECIPES
    if not isinstance(recipe, str) or recipe not in recipes:
        raise ValueError(f"recipe: expected one of {', '.join(recipes)}, or a Recipe, got {recipe!r}")
    return recipes[recipe]


def _plain(value: Any) -> Any:
    """The same with a dict for a mapping, and with Python's numbers for those of NumPy, which JSON does not know."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, Real):
        return int(value) if isinstance(value, Integral) else float(value)
    return value


def _of(value: Any, name: str, default: Any) -> Any:
    return value.get(name, default) if isinstance(value, Mapping) else value


def _each(value: Any, beside: str = "") -> dict[str, Any]:
    """What is to be checked, by how a message names it."""
    if beside and value is None:
        return {}
    return {f"{beside} of {k}": v for k, v in value.items()} if isinstance(value, Mapping) else {beside: value}
