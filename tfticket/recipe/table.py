"""Building blocks of recipe tables: types of values, and conflicts between keys."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, NamedTuple, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError

Text = Annotated[str, Field(min_length=1, description="a text that isn't empty")]
NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$"
"""Pattern of names of folders: at most 100 characters, which all file systems take."""
MOST_STEPS = 10**9
"""Of a training, or of examples: years of computing."""
MOST_REPEATS = 1_000
"""Of what is a training, a network or a result each: levels, seeds, reinitializations."""

Count = Annotated[int, Field(ge=1, le=MOST_STEPS, description="a whole number of at least 1")]
Step = Annotated[int, Field(ge=0, le=MOST_STEPS, description="a whole number of at least 0")]
Repeats = Annotated[int, Field(ge=1, le=MOST_REPEATS, description="a whole number of at least 1")]
Seed = Annotated[int, Field(ge=0, lt=2**63, description="a whole number of at least 0")]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False, description="a number greater than 0")]
Width = Annotated[float, Field(gt=0, le=100, description="a number greater than 0 and at most 100")]
Number = Annotated[float, Field(allow_inf_nan=False, description="a number")]
NotNegative = Annotated[
    float, Field(ge=0, allow_inf_nan=False, description="a number of at least 0")
]
Share = Annotated[float, Field(gt=0, lt=1, description="a share between 0 and 1, not a percentage")]
ShareOrNone = Annotated[
    float, Field(ge=0, lt=1, description="a share of at least 0 and below 1, not a percentage")
]
Decay = Annotated[float, Field(ge=0, lt=1, description="a number of at least 0 and below 1")]
Texts = Annotated[tuple[Text, ...], Field(strict=False, description="a list of texts")]
_T = TypeVar("_T")
Tables = Annotated[tuple[_T, ...], Field(strict=False, description="a list of tables")]
SomeTables = Annotated[
    tuple[_T, ...], Field(strict=False, min_length=1, description="a list of tables")
]
Counts = Annotated[
    tuple[Count, ...],
    Field(strict=False, min_length=1, description="a list of whole numbers, from 1 on"),
]
Steps = Annotated[
    tuple[Step, ...],
    Field(strict=False, min_length=1, description="a list of whole numbers, from 0 on"),
]
Positives = Annotated[
    tuple[Positive, ...],
    Field(strict=False, min_length=1, description="a list of numbers greater than 0"),
]
DataName = Annotated[
    str,
    Field(
        pattern=r"^(digits|mnist1d|mnist|fashion_mnist|cifar10|cifar100|linear|friedman1|shapes|(tfds|folder|npz|csv|parquet):.+)$",
        description="one of digits, mnist1d, mnist, fashion_mnist, cifar10, cifar100, "
        "linear, friedman1, shapes, tfds:NAME, folder:PATH, npz:PATH, csv:PATH, parquet:PATH",
    ),
]
Boundaries = Annotated[
    tuple[Count, ...],
    Field(strict=False, min_length=1, description="a list of steps, one or more, each at least 1"),
]
Rates = Annotated[
    tuple[NotNegative, ...],
    Field(strict=False, min_length=1, description="a list of learning rates, each at least 0"),
]


class Problem(NamedTuple):
    """One mistake in a recipe.

    Attributes:
        key: The dotted key, relative to the table that found it; empty for the table itself.
        message: The rule, what was received, and what to do.
    """

    key: str
    message: str


class Table(BaseModel):
    """A table of a recipe: immutable, no coercion, no unknown keys.

    Attributes:
        LATER: Keys that came when there were recipes already. Where they have their default they
            are left out of what is written, so that older runs go on with the recipe that they
            began with, and published hashes hold.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
    LATER: ClassVar[frozenset[str]] = frozenset()

    def problems(self) -> Iterator[Problem]:
        """Yields the conflicts between keys that are valid one by one."""
        return iter(())

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if found := tuple(self.problems()):
            raise PydanticCustomError("conflict", "keys in conflict", {"problems": found})
        return self

    @model_serializer(mode="wrap")
    def _written(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = handler(self)
        unused = {key for key in self.LATER if self._has_default(key)}
        return {key: value for key, value in written.items() if key not in unused}

    def _has_default(self, key: str) -> bool:
        return bool(getattr(self, key) == type(self).model_fields[key].default)


def twice(
    lists: Mapping[str, Sequence[Any] | None], *, noun: str = "value", hint: str = ""
) -> Iterator[Problem]:
    """Names each list, by its key, that has a value more than once; what isn't a list passes."""
    for key, values in lists.items():
        if isinstance(values, tuple) and len(set(values)) < len(values):
            again = sorted({v for v in values if values.count(v) > 1})
            rule = f"must name each {noun} once. Received twice: {listed(again)}."
            yield Problem(key, rule + hint)


def nearest_divisor(number: int, of: int) -> int:
    """The divisor of `of` that is nearest to `number`; of two, the smaller."""
    small = [d for d in range(1, math.isqrt(of) + 1) if of % d == 0]
    return min((*small, *(of // d for d in small)), key=lambda d: (abs(d - number), d))


def listed(values: Iterable[object]) -> str:
    """`1, 2, 3`."""
    return ", ".join(str(value) for value in values)
