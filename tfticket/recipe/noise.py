"""What a recipe says of wrong labels, whatever its kind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from tfticket.recipe.consistency import Problem
from tfticket.recipe.fields import Table

Rate = Annotated[float, Field(ge=0, le=1, description="a share in [0, 1], not a percentage")]


class Noise(Table):
    """How labels of the training and of the validation data are made wrong; never of the test data.

    `symmetric_inclusive` may draw the true label again, so fewer are wrong than `rate` says.
    """

    kind: Literal[
        "none", "symmetric", "symmetric_inclusive", "pair", "cifar10_asymmetric", "instance"
    ]
    rate: Rate = 0.0
    exact: bool = False

    @property
    def label(self) -> str:
        """What it is called: `symmetric0.5`."""
        return self.kind if self.kind == "none" else f"{self.kind}{self.rate:g}"


def noise_problems(noise: Noise, key: str) -> Iterator[Problem]:
    """What doesn't fit together in one noise.

    Args:
        noise: The table.
        key: Its dotted key: `noise[0]`.
    """
    if (noise.kind == "none") != (noise.rate == 0):
        yield Problem(
            f"{key}.rate",
            'must be greater than 0, and 0 for kind = "none" alone. Received: '
            f"{noise.rate:g} for {noise.kind!r}.",
            (f"{key}.kind",),
        )
    if noise.kind in ("none", "instance") and noise.exact:
        yield Problem(f"{key}.exact", f"isn't for {noise.kind!r}. Remove it.", (f"{key}.kind",))
