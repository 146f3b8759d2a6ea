"""The schema of recipes of the kind `widths`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field

from tfticket.recipe.schema import Recipe, only_searches
from tfticket.recipe.table import Problem, Tables, Width, listed, twice
from tfticket.studies.kind import Kind
from tfticket.studies.lottery.schema import Claim as LotteryClaim
from tfticket.studies.lottery.schema import Controls, Lottery, LotteryRecipe, Model, Verdict

_OWN = ("name", "title", "seeds", "data", "train", "lottery", "controls", "verdict")


class Claim(LotteryClaim):
    """An expectation of a search, at one width.

    Attributes:
        width: One of the widths.
    """

    width: Width


class WidthsRecipe(Recipe):
    """Searches for tickets at each of several widths of one network, with controls.

    `widths` are factors of the units or channels of its hidden layers. The widths of a seed share
    the order of the data.
    """

    kind: Literal["widths"]
    model: Model
    widths: Annotated[
        tuple[Width, ...],
        Field(strict=False, min_length=1, description="a list of factors, one or more"),
    ]
    lottery: Lottery
    controls: Controls = Controls()
    verdict: Verdict = Verdict()
    expect: Tables[Claim] = ()

    def problems(self) -> Iterator[Problem]:
        """See `Table`."""
        yield from only_searches(self.train, loss=False)
        yield from twice({"widths": self.widths})
        if self.model.file is not None:
            yield Problem("model.file", "has one width. Give `name`, a network of the zoo.")
        if self.model.width != 1.0:
            yield Problem("model.width", "is given by `widths` in this kind. Remove it.")
        own: dict[str, Any] = {name: getattr(self, name) for name in (*_OWN, "model")}
        yield from LotteryRecipe.model_construct(**own).problems()
        for number, claim in enumerate(self.expect):
            if claim.width not in self.widths:
                yield Problem(
                    f"expect[{number}].width",
                    f"must be one of {listed(self.widths)}. Received: {claim.width:g}.",
                )

    def search(self, width: float) -> LotteryRecipe:
        """The searches at one width as a recipe of the kind `lottery`."""
        own: dict[str, Any] = {name: getattr(self, name) for name in _OWN}
        model = self.model.model_copy(update={"width": width})
        return LotteryRecipe(kind="lottery", model=model, **own)


def label(width: float) -> str:
    """Return what the run calls a width."""
    return f"width{width:g}"


KIND = Kind(
    name="widths",
    recipe=WidthsRecipe,
    table="lottery",
    unit="level",
    study="tfticket.studies.widths.study:WidthsStudy",
    summary="tfticket.studies.widths.summary:summarize_files",
    page="tfticket.studies.widths.page:compose",
)
