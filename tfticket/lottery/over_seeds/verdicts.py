"""From the measurements of searches to levels, verdicts, and what is said of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

from tfticket.display import words
from tfticket.lottery.comparison import Comparison, Criteria, compare
from tfticket.lottery.metric import Metric
from tfticket.lottery.over_seeds.headline import headline, hypothesis
from tfticket.lottery.over_seeds.levels import Curves, LevelSummary, Results, read_levels
from tfticket.lottery.verdict import (
    TWIN,
    LevelOutcomes,
    LevelVerdict,
    Verdict,
    judge,
    smallest_matching,
    smallest_winning,
)
from tfticket.report.reading import DENSE


@dataclass(frozen=True)
class Verdicts:
    """Levels and verdicts of the searches of one or more seeds, as far as they are finished.

    Attributes:
        criteria: Metric, margins, confidence and number of looks of the verdicts.
        levels: Branches in the order `ticket`, then controls by name; levels rising.
        verdicts: One for each level of the search that can be compared with the dense network.
    """

    criteria: Criteria
    levels: tuple[LevelSummary, ...]
    verdicts: tuple[LevelVerdict, ...]

    @classmethod
    def of(
        cls, results: Results, curves: Curves, *, criteria: Criteria, rewound: bool, **more: Any
    ) -> Self:
        """Judge the networks that are finished.

        Args:
            results: Network to its results, as `report.reading.RunFiles` has them.
            curves: Network to its curves, likewise.
            criteria: Metric, margins, confidence and number of looks.
            rewound: Whether tickets began from early weights; see `lottery.verdict.judge`.
            **more: Fields of a child.
        """
        confidence = criteria.interval_confidence
        levels = read_levels(results, curves, confidence=confidence, metric=criteria.metric.name)
        dense = next((each for each in levels if (each.branch, each.level) == DENSE), None)
        criteria = criteria if dense is None else criteria.against(dense.outcomes)
        verdicts = _judged(levels, criteria, rewound=rewound)
        return cls(criteria=criteria, levels=tuple(levels), verdicts=verdicts, **more)

    @property
    def branches(self) -> tuple[str, ...]:
        """Branches that have a finished network."""
        return tuple(dict.fromkeys(level.branch for level in self.levels))

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds that have a finished network."""
        return tuple(sorted({seed for level in self.levels for seed in level.value.values}))

    @property
    def metric(self) -> Metric:
        """Metric that networks are judged by."""
        return self.criteria.metric

    @cached_property
    def dense(self) -> LevelSummary | None:
        """The dense networks, or None when none is finished."""
        return self.level(*DENSE)

    @cached_property
    def smallest_winning(self) -> LevelVerdict | None:
        """The winning ticket of lowest density, or None."""
        return smallest_winning(self.verdicts)

    @cached_property
    def smallest_matching(self) -> LevelVerdict | None:
        """The matching ticket of lowest density, or None."""
        return smallest_matching(self.verdicts)

    @property
    def sentence(self) -> str:
        """The smallest winning ticket with its numbers, or what stands in its way."""
        return headline(self.verdicts, has_dense=self.dense is not None, metric=self.metric)

    @property
    def hypothesis(self) -> str:
        """A sentence about the speed of tickets along the levels; empty with a single seed."""
        return hypothesis(self.verdicts, metric=self.metric)

    @property
    def notes(self) -> tuple[str, ...]:
        """Caveats of the verdicts, a sentence each."""
        return tuple(self._notes())

    def _notes(self) -> Iterator[str]:
        if self.criteria.looks > 1:
            yield (
                f"This is look {self.criteria.looks} at the data: seeds were added to a finished "
                "run. Each further look spends half of the error that is left, so the intervals "
                f"are {100 * self.criteria.interval_confidence:.6g} % intervals."
            )
        alone = [v for v in self.verdicts if v.twin is None and v.verdict is Verdict.MATCHING]
        if alone:
            noun = "Level" if len(alone) == 1 else "Levels"
            yield (
                f"{noun} {words.ranges([v.level for v in alone])}: the reinitialized control was "
                "not trained, so these tickets can match but not win. `controls.levels` says where "
                f"{TWIN} is trained."
            )
        falling = sum(level.still_falling for level in self.levels)
        if falling:
            networks = words.plural(sum(level.networks for level in self.levels), "network")
            yield (
                f"In {falling} of {networks} the validation loss was lowest at the last "
                "evaluation, so their early-stop iteration is where training ended."
            )
        winning = self.smallest_winning
        worse = [
            found.level
            for found in self.verdicts
            if winning and found.verdict is Verdict.WORSE and found.density > winning.density
        ]
        if worse:
            yield (
                f"Level {words.ranges(worse)} is worse than the dense network although it has more "
                "weights than the smallest winning ticket. More seeds would tell whether that win "
                "is luck."
            )

    def branch(self, name: str) -> list[LevelSummary]:
        """The levels of a branch, rising; those of most controls begin at 1."""
        return [level for level in self.levels if level.branch == name]

    def level(self, branch: str, level: int) -> LevelSummary | None:
        """One level of a branch; `("dense", 0)` and any branch's level 0 are the dense network."""
        place = DENSE if branch == "dense" else (branch, level)
        return next((found for found in self.levels if (found.branch, found.level) == place), None)

    def compare(self, level: LevelSummary, against: str = "dense") -> Comparison | None:
        """Compare a network with that of another branch at its level.

        Args:
            level: The network.
            against: `dense`, or the name of a branch.

        Returns:
            Paired intervals, or None without a common seed.
        """
        other = self.level(against, level.level)
        if other is None or not set(level.outcomes) & set(other.outcomes):
            return None
        return compare(level.outcomes, other.outcomes, criteria=self.criteria)

    def verdicts_to_dict(self) -> dict[str, Any]:
        """Criteria, verdicts and levels as plain values for JSON."""
        winning, matching = self.smallest_winning, self.smallest_matching
        return {
            "hypothesis": self.hypothesis,
            "notes": list(self.notes),
            "seeds": list(self.seeds),
            "criteria": self.criteria.to_dict(),
            "smallest_winning": winning.to_dict() if winning else None,
            "smallest_matching": matching.to_dict() if matching else None,
            "verdicts": [verdict.to_dict() for verdict in self.verdicts],
            "levels": [level.to_dict(self.metric) for level in self.levels],
        }


def _judged(
    levels: Sequence[LevelSummary], criteria: Criteria, *, rewound: bool
) -> tuple[LevelVerdict, ...]:
    found = {(level.branch, level.level): level for level in levels}
    dense = found.get(DENSE)
    controls = sorted({level.branch for level in levels} - {DENSE[0]})
    if dense is None:
        return ()
    outcomes = [
        LevelOutcomes(
            number,
            level.density,
            level.outcomes,
            {name: found[name, number].outcomes for name in controls if (name, number) in found},
        )
        for (branch, number), level in found.items()
        if branch == DENSE[0] and number > 0 and set(level.outcomes) & set(dense.outcomes)
    ]
    return judge(outcomes, dense.outcomes, criteria=criteria, rewound=rewound)
