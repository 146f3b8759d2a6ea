"""The schema of recipes of the kind `edge`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, get_args

from pydantic import Field

from tfticket.recipe.schema import Expect, Recipe, only_searches
from tfticket.recipe.table import (
    Positive,
    Problem,
    ShareOrNone,
    Step,
    Table,
    Tables,
    Text,
    listed,
    twice,
)
from tfticket.studies.kind import Kind
from tfticket.studies.lottery.schema import (
    Controls,
    FormatName,
    Lottery,
    LotteryRecipe,
    Model,
    Verdict,
    step_problems,
)
from tfticket.studies.lottery.tasks import only_classes, task_problems


class Edge(Table):
    """Export of tickets, and the rule that chooses the file to ship.

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


class EdgeClaim(Expect):
    """An expectation about the chosen file; never used to choose it.

    Attributes:
        measure: `smaller`: how many times fewer bytes than the dense fp32 file; `smaller_gzip`: the
            same after gzip, against the dense file as it is; `faster`: how many times as fast;
            `loss`: accuracy lost on test data.
        network: Read it off this row and not off the chosen one, such as `unstructured_14.int8`.
    """

    LATER = frozenset({"source", "value"})

    measure: Literal["smaller", "smaller_gzip", "faster", "loss"]
    network: Text | None = None

    def problems(self) -> Iterator[Problem]:
        """See `Table`."""
        if (self.at_least is None) == (self.at_most is None):
            yield Problem(
                "",
                "must have either `at_least` or `at_most`. Received: "
                f"{'neither' if self.at_least is None else 'both'}.",
            )


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
    expect: Tables[EdgeClaim] = ()

    def problems(self) -> Iterator[Problem]:
        """See `Table`."""
        yield from twice({"edge.formats": self.edge.formats})
        structures = [search.structure for search in self.search]
        for index, structure in enumerate(structures):
            if structure in structures[:index]:
                yield Problem(
                    f"search[{index}].structure",
                    f"must be another in each search. Received again: {structure!r}.",
                )
        yield from only_searches(self.train, loss=False)
        yield from only_classes(self.data, "the file to ship is chosen by its accuracy")
        yield from task_problems(self.data, self.train, self.model.name)
        if self.verdict.metric != "accuracy":
            yield Problem(
                "verdict.metric",
                "must be accuracy, by which the file to ship is chosen. "
                f"Received: {self.verdict.metric!r}.",
            )
        found = [
            problem
            for index, search in enumerate(self.search)
            for problem in step_problems(self.train, search, f"search[{index}]")
        ]
        yield from dict.fromkeys(found)  # what all searches have in common is told once
        for key in ("rewind_step", "rewind", "score_at"):
            values = [getattr(search, key) for search in self.search]
            if len(set(values)) > 1:
                yield Problem(
                    f"search.{key}",
                    "must be the same in all searches, which share their dense network. Received: "
                    f"{listed(values)}.",
                )

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


KIND = Kind(
    name="edge",
    recipe=EdgeRecipe,
    table="search",
    unit="network",
    study="tfticket.studies.edge.study:EdgeStudy",
    summary="tfticket.studies.edge.summary:summarize_files",
    page="tfticket.studies.edge.page:compose",
)
