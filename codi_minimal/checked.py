"""Dataclasses whose type hints are checked: a hint says what a field may hold, and bad values are refused at once."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields, is_dataclass
from numbers import Integral, Real
from reprlib import repr as short
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints


@dataclass(frozen=True)
class Within:
    """The range of a number, for `Annotated[int, Within(8, 64, 8)]`: low ≤ x ≤ high, and x is a multiple of `of`."""

    low: float
    high: float
    of: int = 1


@dataclass(frozen=True)
class Length:
    """How many items a tuple may have, for `Annotated[tuple[int, ...], Length(1, 3)]`."""

    low: int
    high: int


class Checked:
    """A base of frozen dataclasses: every field is checked when an instance is made, see `checked`."""

    def __post_init__(self) -> None:
        for name, hint in get_type_hints(type(self), include_extras=True).items():
            value = checked(hint, getattr(self, name), f"{type(self).__name__}.{name}")
            object.__setattr__(self, name, value)


def checked(hint: Any, value: Any, name: str) -> Any:
    """The value as its type hint wants it. JSON's lists become tuples, and its objects become dataclasses.

    Args:
        hint: bool, str, Literal, tuple, dict with names as keys, a `Checked` dataclass, or Annotated with `Within`
            (of int or float) or `Length` (of a tuple).
        name: how an error names the value.

    Raises:
        ValueError: with what was expected, and what came.

    >>> checked(Annotated[int, Within(8, 64, 8)], 24, "width")
    24
    >>> checked(Annotated[int, Within(8, 64, 8)], 20, "width")
    Traceback (most recent call last):
    ValueError: width: expected a multiple of 8 from 8 to 64, got 20
    """
    kind, args = get_origin(hint), get_args(hint)
    if kind is Annotated and isinstance(args[1], Within):
        return _number(*args, value, name)
    if kind is Annotated:
        items, length = checked(args[0], value, name), args[1]
        if not length.low <= len(items) <= length.high:
            raise ValueError(f"{name}: expected {length.low} to {length.high} values, got {len(items)}")
        return items
    if kind is Literal:
        if not any(type(value) is type(choice) and value == choice for choice in args):
            raise ValueError(f"{name}: expected {' or '.join(map(repr, args))}, got {short(value)}")
        return value
    if kind is tuple:
        return _tuple(args, value, name)
    if kind is dict:
        return {key: checked(args[1], item, f"{name}.{key}") for key, item in _dict(value, name).items()}
    if is_dataclass(hint):
        return value if isinstance(value, hint) else _dataclass(hint, _dict(value, name), name)
    if not isinstance(value, hint):
        raise ValueError(f"{name}: expected a value of type {hint.__name__}, got {short(value)}")
    return value


def _number(kind: type, within: Within, value: Any, name: str) -> int | float:
    number = isinstance(value, Integral if kind is int else Real) and not isinstance(value, bool)
    if not number or not within.low <= value <= within.high or (within.of > 1 and value % within.of):
        what = "a number" if kind is float else f"a multiple of {within.of}" if within.of > 1 else "a whole number"
        raise ValueError(f"{name}: expected {what} from {within.low:,} to {within.high:,}, got {short(value)}")
    return kind(value)


def _tuple(hints: tuple, value: Any, name: str) -> tuple:
    """Items of hints `(X, ...)`, any number of X, or `(X, Y)`, one X and one Y."""
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"{name}: expected a list, got {short(value)}")
    if hints[-1] is ...:
        hints = hints[:1] * len(value)
    if len(value) != len(hints):
        raise ValueError(f"{name}: expected {len(hints)} values, got {len(value)}")
    return tuple(checked(hint, item, f"{name}[{i}]") for i, (hint, item) in enumerate(zip(hints, value, strict=True)))


def _dict(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise ValueError(f"{name}: expected an object with names as keys, got {short(value)}")
    return value


def _dataclass(cls: type, values: dict[str, Any], name: str) -> Any:
    hints = get_type_hints(cls, include_extras=True)
    needed = [f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING]
    wrong = [f"no {key}" for key in needed if key not in values] + [f"also {key}" for key in values if key not in hints]
    if wrong:
        raise ValueError(f"{name}: expected the keys {', '.join(hints)}; got {short(', '.join(wrong))}")
    return cls(**{key: checked(hints[key], value, f"{name}.{key}") for key, value in values.items()})
