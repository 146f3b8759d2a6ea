"""The schema of recipes of the kind `locality`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

from tfticket.recipe.schema import only_searches
from tfticket.recipe.table import (
    Count,
    Counts,
    Problem,
    Seed,
    SomeTables,
    Table,
    Tables,
    Text,
    listed,
    twice,
)
from tfticket.studies.kind import Kind
from tfticket.studies.lottery.tasks import only_classes
from tfticket.studies.variants.schema import VariantClaim, VariantsRecipe

TRANSFERRED, WINDOWS, READ_OFF = "transferred", "windows", "convolution"
"""Networks of a run beside those of its searches; `READ_OFF` has the width of the ticket's span."""


class Arranged(Table):
    """Signals whose points are in one fixed order, for all seeds.

    `masks_from` names another arrangement, whose tickets' masks are trained on these signals too,
    from the initial weights that both share.
    """

    kind: Literal["as_is", "flipped", "shuffled", "chunks"]
    chunk: Count | None = None
    seed: Seed = 0
    masks_from: Text | None = None

    def problems(self) -> Iterator[Problem]:
        """See `Table`."""
        if (self.chunk is None) == (self.kind == "chunks"):
            yield Problem(
                "chunk",
                "is the number of points in a chunk, which kind = 'chunks' needs and no other "
                f"takes. Received: kind = {self.kind!r}, chunk = {self.chunk}.",
            )


class Convolution(Table):
    """Convolutional networks with as many weights as tickets of `levels`.

    The kernel of one is as wide as the median span of the ticket's first layer, those of the others
    are of `widths`. All are trained on the signals of `arrangement`.
    """

    arrangement: Text = "as_is"
    levels: Counts
    widths: Counts


class Claim(VariantClaim):
    """An expectation about the networks of one density on one arrangement.

    Attributes:
        measure: What is compared: `accuracy`, on test data at the lowest validation loss;
            `accuracy_at_end`; or of a mask `locality` in the order that the network is given,
            `original_locality` in that of the signals, and `unit_locality`, the same beyond the
            inputs that all units prefer.
        arrangement: The kind of the arrangement.
        branch: `ticket`, a control, `transferred`, `windows`, `convolution` or `width_N`.
    """

    measure: Literal[
        "accuracy", "accuracy_at_end", "locality", "original_locality", "unit_locality"
    ]
    arrangement: Text


class LocalityRecipe(VariantsRecipe):
    """Searches for tickets in signals as they are and arranged anew.

    Arrangements of a seed share initial weights and the order of the data. `windows` trains beside
    each ticket its mask with the inputs of each unit moved together.
    """

    VARIANT: ClassVar[str] = "arrangement"

    kind: Literal["locality"]
    arrangement: SomeTables[Arranged]
    windows: bool = False
    convolution: Convolution | None = None
    expect: Tables[Claim] = ()

    @property
    def variants(self) -> Mapping[str, Mapping[str, Any]]:
        """See `VariantsRecipe`."""
        return {each.kind: {"arrangement": each.kind} for each in self.arrangement}

    def problems(self) -> Iterator[Problem]:
        """See `Table`."""
        yield from super().problems()
        yield from only_searches(self.train)
        kinds = tuple(each.kind for each in self.arrangement)
        yield from twice({"arrangement": kinds}, noun="arrangement")
        yield from only_classes(self.data, "networks are compared by their accuracy")
        for number, each in enumerate(self.arrangement):
            others = [name for name in self.variants if name != each.kind]
            if each.masks_from is not None and each.masks_from not in others:
                yield Problem(
                    f"arrangement[{number}].masks_from",
                    "must be another arrangement of the recipe: "
                    f"{listed(others) or 'there is none'}. Received: {each.masks_from!r}.",
                )
        if self.convolution is None:
            return
        if self.convolution.arrangement not in self.variants:
            yield Problem(
                "convolution.arrangement",
                f"must be one of {listed(self.variants)}. Received: "
                f"{self.convolution.arrangement!r}.",
            )
        last = self.lottery.levels
        beyond = [level for level in self.convolution.levels if level > last]
        if beyond:
            yield Problem(
                "convolution.levels",
                f"must not go beyond lottery.levels = {last}. Received: {listed(beyond)}.",
            )


KIND = Kind(
    name="locality",
    recipe=LocalityRecipe,
    table="lottery",
    unit="level",
    study="tfticket.studies.locality.study:LocalityStudy",
    summary="tfticket.studies.locality.summary:Summary.read",
    page="tfticket.studies.locality.page:compose",
)
