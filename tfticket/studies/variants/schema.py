"""The schema of recipes whose runs hold a search for tickets in each variant of the data."""

from __future__ import annotations

import abc
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar

from pydantic import Field

from tfticket.recipe.schema import Expect, Recipe, only_searches
from tfticket.recipe.table import Problem, Tables, Text, listed
from tfticket.studies.lottery.schema import Controls, Lottery, LotteryRecipe, Model

Density = Annotated[float, Field(gt=0, le=1, description="a share above 0 and up to 1")]
_OWN = ("name", "title", "seeds", "data", "model", "train", "lottery", "controls")


class VariantClaim(Expect):
    """An expectation about the networks of one density, or how they differ from others.

    Each kind adds what is measured, and the variant, under the name of its table. Abstract.

    Attributes:
        branch: Whose number it is: `ticket` or a control.
        density: Where it is read, at the level that is nearest; 1 is the dense network.
        against: The branch whose number is subtracted, if there must be one; `branch` unless given.
        against_density: Where that is read; `density` unless given.
    """

    branch: Text = "ticket"
    density: Density
    against: Text | None = None
    against_density: Density | None = None


class VariantsRecipe(Recipe, abc.ABC):
    """Searches for tickets in each of several variants of the data. Abstract.

    Attributes:
        VARIANT: The table that lists the variants, and the key of a claim that names one.
    """

    VARIANT: ClassVar[str]

    model: Model
    lottery: Lottery
    controls: Controls = Controls()
    expect: Tables[Any] = ()

    @property
    @abc.abstractmethod
    def variants(self) -> tuple[str, ...]:
        """Names of the variants; branches of a run begin with them."""

    def problems(self) -> Iterator[Problem]:
        """See `Table`."""
        yield from only_searches(self.train)
        yield from LotteryRecipe.model_construct(**self._own()).problems()
        names, key = self.variants, self.VARIANT
        again = sorted({name for name in names if names.count(name) > 1})
        if again:
            yield Problem(key, f"must name each {key} once. Received twice: {listed(again)}.")
        for number, claim in enumerate(self.expect):
            if getattr(claim, key) not in names:
                yield Problem(
                    f"expect[{number}].{key}",
                    f"must be one of {listed(names)}. Received: {getattr(claim, key)!r}.",
                )

    def search(self) -> LotteryRecipe:
        """The search of each variant as a recipe of the kind `lottery`."""
        return LotteryRecipe(kind="lottery", **self._own())

    def _own(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _OWN}
