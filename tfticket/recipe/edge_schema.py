"""What may stand in a recipe of the kind `edge`."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field

from tfticket.recipe.fields import Positive, ShareOrNone, Step, Table, Text
from tfticket.recipe.lottery_schema import (
    Controls,
    FormatName,
    Lottery,
    LotteryRecipe,
    Model,
    Verdict,
)
from tfticket.recipe.schema import Recipe


class Edge(Table):
    """Which files are made of the tickets, and which of them is called the one to ship.

    Every level of every search is exported in each of `formats`. Chosen is, by `objective`, the
    best of those whose accuracy on validation data is at most `margin` below the dense network's.
    With `fine_tune_steps` a network that a format of few bits costs accuracy is trained on for so
    long with weights rounded to it, at `fine_tune_rate`.
    """

    formats: Annotated[
        tuple[FormatName, ...],
        Field(
            strict=False,
            min_length=1,
            description=f"a list out of {', '.join(get_args(FormatName))}",
        ),
    ] = ("fp32", "dynamic", "int8", "sparse_fc")
    margin: ShareOrNone = 0.005
    objective: Literal["both", "bytes", "time"] = "both"
    fine_tune_steps: Step = 0
    fine_tune_rate: Positive = 1e-4


class EdgeClaim(Table):
    """What the chosen file is expected to reach. Never used while anything is chosen.

    Attributes:
        claim: In words.
        measure: `smaller`: how many times fewer bytes than the dense fp32 file; `smaller_gzip`: the
            same after gzip, against the dense file as it is; `faster`: how many times as fast;
            `loss`: accuracy lost on test data.
        at_least: The smallest number that meets it.
        at_most: The largest.
        network: Read it off this row and not off the chosen one, such as `unstructured_14.int8`.
    """

    claim: Text
    measure: Literal["smaller", "smaller_gzip", "faster", "loss"]
    at_least: float | None = None
    at_most: float | None = None
    network: Text | None = None


class EdgeRecipe(Recipe):
    """Searches with several structures, and their tickets as files, in one table.

    Each `[[search]]` is what `[lottery]` is in a recipe of that kind.
    """

    kind: Literal["edge"]
    model: Model
    search: Annotated[
        tuple[Lottery, ...],
        Field(strict=False, min_length=1, description="a list of tables, one or more"),
    ]
    verdict: Verdict = Verdict()
    edge: Edge = Edge()
    expect: Annotated[
        tuple[EdgeClaim, ...], Field(strict=False, description="a list of tables")
    ] = ()

    def searches(self) -> dict[str, LotteryRecipe]:
        """A recipe of the kind `lottery` for each search, by its structure."""
        return {search.structure: self._lottery(search) for search in self.search}

    def _lottery(self, search: Lottery) -> LotteryRecipe:
        return LotteryRecipe(
            name=f"{self.name}.{search.structure}",
            kind="lottery",
            title=f"{self.title} ({search.structure.replace('_', ' ')})",
            paper=self.paper,
            deviations=self.deviations,
            seeds=self.seeds,
            data=self.data,
            model=self.model,
            train=self.train,
            lottery=search,
            controls=Controls(reinit=False),  # files are compared here, not hypotheses tested
            verdict=self.verdict,
        )
