"""What may stand in a recipe of the kind `edge`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Literal, get_args

from pydantic import Field

from tfticket.recipe.consistency import Problem, Rule, listed, on_one_device, twice
from tfticket.recipe.schema import Recipe
from tfticket.recipe.training import Positive, ShareOrNone, Step, Table, Text
from tfticket.studies.kind import COMMON, Kind
from tfticket.studies.lottery.schema import (
    DEFAULT_RATE,
    Controls,
    FormatName,
    Lottery,
    LotteryRecipe,
    Model,
    Verdict,
)
from tfticket.studies.lottery.schema import RULES as LOTTERY_RULES


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


def _unique(recipe: EdgeRecipe) -> Iterator[Problem]:
    yield from twice({"edge.formats": recipe.edge.formats})
    structures = [search.structure for search in recipe.search]
    for index, structure in enumerate(structures):
        if structure in structures[:index]:
            yield Problem(
                f"search[{index}].structure",
                f"must be another in each search. Received again: {structure!r}.",
            )


def _searches(recipe: EdgeRecipe) -> Iterator[Problem]:
    """What holds for a search on its own; what all have in common is told once."""
    told: set[tuple[str, str]] = set()
    for index, search in enumerate(recipe.searches().values()):
        for rule in LOTTERY_RULES:
            for problem in rule(search):
                found = _renamed(problem, index)
                if (found.key, found.message) not in told:
                    told.add((found.key, found.message))
                    yield found


def _renamed(problem: Problem, index: int) -> Problem:
    def rename(key: str) -> str:
        return f"search[{index}]{key.removeprefix('lottery')}" if key.startswith("lottery") else key

    return replace(
        problem,
        key=rename(problem.key),
        message=problem.message.replace("lottery.", f"search[{index}]."),
        others=tuple(rename(key) for key in problem.others),
    )


def _one_dense_network(recipe: EdgeRecipe) -> Iterator[Problem]:
    for key in ("rewind_step", "rewind", "score_at"):
        values = [getattr(search, key) for search in recipe.search]
        if len(set(values)) > 1:
            yield Problem(
                f"search.{key}",
                "must be the same in all searches, which share their dense network. Received: "
                f"{listed(values)}.",
            )


def _claims(recipe: EdgeRecipe) -> Iterator[Problem]:
    for index, claim in enumerate(recipe.expect):
        if (claim.at_least is None) == (claim.at_most is None):
            yield Problem(
                f"expect[{index}]",
                "must have either `at_least` or `at_most`. Received: "
                f"{'neither' if claim.at_least is None else 'both'}.",
            )


RULES: tuple[Rule, ...] = (_unique, on_one_device, _searches, _one_dense_network, _claims)


KIND = Kind(
    name="edge",
    recipe=EdgeRecipe,
    rules=RULES,
    stand_ins={**COMMON, "kind": "edge", "search": [{"levels": 1, "rate": DEFAULT_RATE}]},
    table="search",
    unit="network",
    study="tfticket.studies.edge.study:EdgeStudy",
    summary="tfticket.studies.edge.summary:summarize_files",
    page="tfticket.studies.edge.page:compose",
)
