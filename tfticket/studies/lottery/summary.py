"""The numbers of a run: per branch and level over seeds, the verdicts, and the expectations.

The page, `publish` and the command line all say what stands here, so that they can't disagree.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tfticket.lottery.comparison import Comparison, Criteria, compare
from tfticket.lottery.verdict import (
    TWIN,
    LevelOutcomes,
    LevelVerdict,
    Verdict,
    judge,
    smallest_matching,
    smallest_winning,
)
from tfticket.report import words
from tfticket.report.contents import Summary as BaseSummary
from tfticket.report.contents import unfinished
from tfticket.report.estimate import Estimate
from tfticket.report.expectation import (
    POINTS,
    RATE,
    TIMES,
    Expectation,
    Measured,
    Unit,
    check,
    counted,
)
from tfticket.report.reading import DENSE, RunFiles, read_run
from tfticket.studies.lottery.headline import headline, hypothesis
from tfticket.studies.lottery.levels import LevelSummary, read_levels
from tfticket.studies.lottery.schema import control_levels

_MEASURES = {
    "accuracy": ("test accuracy", RATE),
    "gain": ("test accuracy against {against}, points", POINTS),
    "speedup": ("times as fast as {against}", TIMES),
    "early_stop_speedup": ("early stop, times as soon as {against}", TIMES),
    "smallest_density": ("smallest density as accurate as {against}", Unit(words.percent)),
}
"""Measure of an expectation to its words and its unit."""
# A level whose density differs from the claim's by more than this factor measures something else.
_NEAR = 1.3


@dataclass(frozen=True)
class Summary(BaseSummary):
    """The levels and verdicts of a run, as far as it is finished.

    Attributes:
        criteria: Margins, confidence and number of looks of the verdicts.
        levels: Branches in the order `ticket`, then controls by name; levels rising.
        verdicts: One for each level of the search that can be compared with the dense network.
    """

    criteria: Criteria
    levels: tuple[LevelSummary, ...]
    verdicts: tuple[LevelVerdict, ...]

    @property
    def branches(self) -> tuple[str, ...]:
        """Branches that have a finished network."""
        return tuple(dict.fromkeys(level.branch for level in self.levels))

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds that have a finished network."""
        return tuple(sorted({seed for level in self.levels for seed in level.accuracy.values}))

    @property
    def confidence(self) -> float:
        """Coverage of the intervals at this look at the data."""
        return self.criteria.interval_confidence

    @cached_property
    def dense(self) -> LevelSummary | None:
        """The dense networks, or None when none is finished."""
        return self.level(*DENSE)

    @cached_property
    def smallest_winning(self) -> LevelVerdict | None:
        """The winning ticket of lowest density, or None."""
        return smallest_winning(self.verdicts)

    @property
    def missing(self) -> tuple[str, ...]:
        """See `report.contents.Summary`."""
        last = int(self.files.table("lottery").get("levels", 0))
        controls = dict(self.files.table("controls"))
        asked = {DENSE[0]: set(range(last + 1))} if last else {}
        levels = set(control_levels(controls.pop("levels", None), last)) if last else set()
        asked |= {name: levels for name, wanted in controls.items() if wanted}
        done = {
            (level.branch, seed, level.level) for level in self.levels for seed in level.outcomes
        }
        lacking = {
            f"{branch}, seed {seed}": [n for n in levels if (branch, seed, n) not in done]
            for branch, levels in asked.items()
            for seed in self.files.seeds
        }
        return unfinished(self.files, lacking, noun="level", more="searches")

    @property
    def headline(self) -> str:
        """The result in a sentence or two."""
        said = headline(self.verdicts, has_dense=self.dense is not None)
        return " ".join([said, *counted(self.expectations)])

    @property
    def hypothesis(self) -> str:
        """A sentence about the speed of tickets along the levels; empty with a single seed."""
        return hypothesis(self.verdicts)

    @property
    def notes(self) -> tuple[str, ...]:
        """Caveats of the verdicts, a sentence each."""
        return tuple(self._notes())

    def _notes(self) -> Iterator[str]:
        if self.criteria.looks > 1:
            yield (
                f"This is look {self.criteria.looks} at the data: seeds were added to a finished "
                "run. Each further look spends half of the error that is left, so the intervals "
                f"are {100 * self.confidence:.6g} % intervals."
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
        """The levels of a branch, rising; those of a control begin at 1."""
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

    @cached_property
    def expectations(self) -> tuple[Expectation, ...]:
        """The recipe's expectations, each read at the level of the density that it names."""
        return check(self.files.expect, self._measure)

    def _measure(self, table: Mapping[str, Any]) -> Measured:
        branch, against = str(table.get("branch", "ticket")), str(table.get("against", "dense"))
        text, unit = _MEASURES[table["measure"]]
        about = text.format(against=against)
        about = about if branch == "ticket" else f"{branch}: {about}"
        if table["measure"] == "smallest_density":
            return self._smallest_density(about, unit, branch, against, table.get("value"))
        density = table.get("density")
        levels = [self.dense] if branch == "dense" else self.branch(branch)
        finished = [level for level in levels if level is not None]
        if not finished:
            return Measured(None, about, unit, remark=f"no finished {branch} network")
        wanted = density or finished[-1].density
        level = min(finished, key=lambda level: abs(math.log(level.density / wanted)))
        if abs(math.log(level.density / wanted)) > math.log(_NEAR):
            near = f"the nearest level has {words.percent(level.density)}"
            return Measured(None, about, unit, remark=near)
        at = f"at {words.percent(level.density)} of the weights"
        if table["measure"] == "accuracy":
            return Measured(level.accuracy, about, unit, at)
        found = self.compare(level, against)
        if found is None:
            return Measured(None, about, unit, remark=f"no {against} network to compare with")
        return Measured(Estimate.of_comparison(getattr(found, table["measure"])), about, unit, at)

    def _smallest_density(
        self, about: str, unit: Unit, branch: str, against: str, value: float | None
    ) -> Measured:
        """The lowest density with a mean gain of 0 or more, as one reads it off a figure."""
        compared = {
            level.density: found.gain
            for level in self.branch(branch)
            if level.level > 0 and (found := self.compare(level, against)) is not None
        }
        if not compared:
            return Measured(
                None, about, unit, remark=f"no {branch} and {against} networks to compare"
            )
        seeds = max(gain.seeds for gain in compared.values())
        density = min((d for d, gain in compared.items() if gain.mean >= 0), default=None)
        if density is None:
            return Measured(
                Estimate.of_point(1.0, seeds),
                about,
                unit,
                beside_paper="not as sparse",
                remark=f"no {branch} network is as accurate",
            )
        said = "as sparse or sparser" if value and density <= _NEAR * value else "not as sparse"
        if density == min(compared) and (value is None or density > _NEAR * value):
            said = "as far as this run went"
        return Measured(
            Estimate.of_point(density, compared[density].seeds), about, unit, beside_paper=said
        )

    def results(self) -> dict[str, Any]:
        """Criteria, verdicts and levels."""
        winning, matching = self.smallest_winning, smallest_matching(self.verdicts)
        criteria = vars(self.criteria) | {"interval_confidence": self.confidence}
        return {
            "hypothesis": self.hypothesis,
            "notes": list(self.notes),
            "seeds": list(self.seeds),
            "criteria": criteria,
            "smallest_winning": winning.to_dict() if winning else None,
            "smallest_matching": matching.to_dict() if matching else None,
            "verdicts": [verdict.to_dict() for verdict in self.verdicts],
            "levels": [level.to_dict() for level in self.levels],
        }


def summarize(run: str | Path) -> Summary:
    """Summarize a run directory, finished or not.

    Args:
        run: The run directory.

    Raises:
        RunError: It is no run directory, or one of its files can't be read.
    """
    return summarize_files(read_run(run))


def summarize_files(files: RunFiles) -> Summary:
    """Summarize a run that has been read already."""
    usual, verdict = Criteria(), files.table("verdict")
    examples = files.environment.get("data", {}).get("test")
    criteria = Criteria(
        margin=verdict.get("margin", usual.margin),
        time_margin=verdict.get("time_margin", usual.time_margin),
        confidence=verdict.get("confidence", usual.confidence),
        looks=max(1, len(files.environment.get("looks") or ())),
        accuracy_resolution=1 / examples if examples else 0.0,
    )
    levels = read_levels(files, confidence=criteria.interval_confidence)
    rewound = files.table("lottery").get("rewind", "weights") == "weights"
    return Summary(files, criteria, tuple(levels), _verdicts(levels, criteria, rewound=rewound))


def _verdicts(
    levels: list[LevelSummary], criteria: Criteria, *, rewound: bool
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
