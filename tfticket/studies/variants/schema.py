"""The schema of recipes whose runs hold a search for tickets in each of several variants."""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field

from tfticket.recipe.schema import Expect, Recipe, unknown_names
from tfticket.recipe.table import Problem, Tables, Text
from tfticket.studies.lottery.schema import Controls, Lottery, LotteryRecipe, Model

Density = Annotated[float, Field(gt=0, le=1, description="a share above 0 and up to 1")]
_OWN = ("name", "title", "seeds", "data", "model", "train", "lottery", "controls", "verdict")


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
    """Searches for tickets in each of several variants of the data or the network. Abstract.

    Attributes:
        VARIANT: Key of a variant in claims and in `cells.json`: `noise`.
    """

    VARIANT: ClassVar[str]

    model: Model
    lottery: Lottery
    controls: Controls = Controls()
    expect: Tables[Any] = ()

    @property
    @abc.abstractmethod
    def variants(self) -> Mapping[str, Mapping[str, Any]]:
        """Name of each variant, which its branches begin with, to its entry in `cells.json`."""

    def problems(self) -> Iterator[Problem]:
        """See `Table`."""
        yield from LotteryRecipe.model_construct(**self._own()).problems()
        known = [entry[self.VARIANT] for entry in self.variants.values()]
        yield from unknown_names(self.expect, {self.VARIANT: known})

    def shared_search(self) -> LotteryRecipe:
        """Return what the searches share as a recipe of the kind `lottery`."""
        return LotteryRecipe(kind="lottery", **self._own())

    def search(self, variant: str) -> LotteryRecipe:
        """Return the search in a variant as a recipe of the kind `lottery`."""
        return self.shared_search()

    def _own(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _OWN if name in type(self).model_fields}
