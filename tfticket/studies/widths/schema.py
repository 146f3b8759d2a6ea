"""The schema of recipes of the kind `widths`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from tfticket.recipe.schema import only_searches
from tfticket.recipe.table import Problem, Tables, Width, twice
from tfticket.studies.kind import Kind
from tfticket.studies.lottery.schema import Claim as LotteryClaim
from tfticket.studies.lottery.schema import LotteryRecipe, Verdict
from tfticket.studies.variants.schema import VariantsRecipe


class Claim(LotteryClaim):
    """An expectation of a search, at one width.

    Attributes:
        width: One of the widths.
    """

    width: Width


class WidthsRecipe(VariantsRecipe):
    """Searches for tickets at each of several widths of one network, with controls.

    `widths` are factors of the units or channels of its hidden layers. The widths of a seed share
    the order of the data.
    """

    VARIANT: ClassVar[str] = "width"

    kind: Literal["widths"]
    widths: Annotated[
        tuple[Width, ...],
        Field(strict=False, min_length=1, description="a list of factors, one or more"),
    ]
    verdict: Verdict = Verdict()
    expect: Tables[Claim] = ()

    @property
    def variants(self) -> Mapping[str, Mapping[str, Any]]:
        """See `VariantsRecipe`."""
        return {label(width): {"width": width} for width in self.widths}

    def problems(self) -> Iterator[Problem]:
        """See `Table`."""
        yield from super().problems()
        yield from only_searches(self.train, loss=False)
        yield from twice({"widths": self.widths})
        if self.model.file is not None:
            yield Problem("model.file", "has one width. Give `name`, a network of the zoo.")
        if self.model.width != 1.0:
            yield Problem("model.width", "is given by `widths` in this kind. Remove it.")

    def search(self, variant: str) -> LotteryRecipe:
        """See `VariantsRecipe`."""
        model = self.model.model_copy(update=self.variants[variant])
        return self.shared_search().model_copy(update={"model": model})


def label(width: float) -> str:
    """Return what the run calls a width."""
    return f"width{width:g}"


KIND = Kind(
    name="widths",
    recipe=WidthsRecipe,
    table="lottery",
    unit="level",
    study="tfticket.studies.variants.study:VariantsStudy",
    summary="tfticket.studies.widths.summary:summarize_files",
    page="tfticket.studies.widths.page:compose",
)
