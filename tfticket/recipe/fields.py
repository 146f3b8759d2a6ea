"""The kinds of values in a recipe, and the base of its tables.

A kind's `description` is the end of the sentence "must be ..." in the error about it. Rates, shares
and densities are in [0, 1], never percent. Steps are optimizer steps. TOML has no null, so a key
that may be left out has the default None.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Text = Annotated[str, Field(min_length=1, description="a text that isn't empty")]
Count = Annotated[int, Field(ge=1, description="a whole number of at least 1")]
Step = Annotated[int, Field(ge=0, description="a whole number of at least 0")]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False, description="a number greater than 0")]
NotNegative = Annotated[
    float, Field(ge=0, allow_inf_nan=False, description="a number of at least 0")
]
Share = Annotated[float, Field(gt=0, lt=1, description="a share between 0 and 1, not a percentage")]
ShareOrNone = Annotated[
    float, Field(ge=0, lt=1, description="a share of at least 0 and below 1, not a percentage")
]
Decay = Annotated[float, Field(ge=0, lt=1, description="a number of at least 0 and below 1")]
Texts = Annotated[tuple[Text, ...], Field(strict=False, description="a list of texts")]
DataName = Annotated[
    str,
    Field(
        pattern=r"^(digits|mnist|fashion_mnist|cifar10|cifar100|linear|(tfds|folder|npz):.+)$",
        description="one of digits, mnist, fashion_mnist, cifar10, cifar100, linear, "
        "tfds:NAME, folder:PATH, npz:PATH",
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


class Table(BaseModel):
    """A table of a recipe: immutable, no coercion, no unknown keys."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
