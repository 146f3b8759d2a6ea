"""The numbers of a run: per branch and level over seeds, and the verdicts.

The page, `publish` and the command line all say what stands here, so that they can't disagree.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tfticket.lottery.comparison import Criteria, Interval, Outcome, t_interval
from tfticket.lottery.verdict import LevelVerdict, judge, smallest_winning
from tfticket.report.headline import headline
from tfticket.report.progress import missing
from tfticket.report.reading import DENSE, RunFiles, read_run

_NEEDED = ("accuracy_at_early_stop", "accuracy_at_end", "density")
# A control may be drawn several times for one ticket: `reinit`, `reinit_2`, ...
_DRAW = re.compile(r"_\d+$")

_BySeed = Mapping[int, list[Mapping[str, tuple[int, float]]]]


@dataclass(frozen=True)
class Spread:
    """One measure over the seeds of a level.

    Attributes:
        values: Seed to value, seeds rising.
        interval: Mean and Student t interval; infinitely wide with one seed.
    """

    values: Mapping[int, float]
    interval: Interval

    @property
    def mean(self) -> float:
        """Mean over seeds."""
        return self.interval.mean

    @property
    def smallest(self) -> float:
        """Minimum over seeds."""
        return min(self.values.values())

    @property
    def largest(self) -> float:
        """Maximum over seeds."""
        return max(self.values.values())

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            **self.interval.to_dict(),
            "min": self.smallest,
            "max": self.largest,
            "by_seed": {str(seed): value for seed, value in self.values.items()},
        }


@dataclass(frozen=True)
class LevelSummary:
    """The networks of one branch and level, over the seeds that are finished.

    Where a control was drawn several times for a ticket, a seed's value is the mean of its draws.

    Attributes:
        branch: `ticket`, or the name of a control.
        level: How often the network was pruned.
        density: Mean share of prunable weights that are left, in (0, 1].
        remaining: Mean number of them.
        prunable: Number of prunable weights of the dense network.
        accuracy: Test accuracy at the early-stop iteration, in [0, 1].
        accuracy_at_end: Test accuracy after the last step, in [0, 1].
        early_stop_step: Optimizer steps until the minimum of the validation loss.
        seconds: Time that the level took, over all seeds.
    """

    branch: str
    level: int
    density: float
    remaining: float
    prunable: int
    accuracy: Spread
    accuracy_at_end: Spread
    early_stop_step: Spread
    seconds: float

    @property
    def outcomes(self) -> dict[int, Outcome]:
        """Seed to outcome, for comparisons."""
        return {
            seed: Outcome(
                self.accuracy.values[seed],
                self.accuracy_at_end.values[seed],
                self.early_stop_step.values[seed],
            )
            for seed in self.accuracy.values
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "branch": self.branch,
            "level": self.level,
            "density": self.density,
            "remaining": self.remaining,
            "prunable": self.prunable,
            "accuracy": self.accuracy.to_dict(),
            "accuracy_at_end": self.accuracy_at_end.to_dict(),
            "early_stop_step": self.early_stop_step.to_dict(),
            "seconds": self.seconds,
        }


@dataclass(frozen=True)
class Summary:
    """What a run came to, as far as it is finished.

    Attributes:
        name: Name of the recipe.
        title: Its title.
        run: Name of the run.
        complete: Whether the run is finished.
        missing: What isn't there yet, a sentence each; empty for a complete run.
        criteria: Margin, confidence and resolutions of the verdicts.
        levels: Branches in the order `ticket`, then controls by name; levels rising.
        verdicts: One for each level of the search that can be compared with the dense network.
    """

    name: str
    title: str
    run: str
    complete: bool
    missing: tuple[str, ...]
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

    @cached_property
    def dense(self) -> LevelSummary | None:
        """The dense networks, or None when none is finished."""
        return self.level(*DENSE)

    @cached_property
    def smallest_winning(self) -> LevelVerdict | None:
        """The winning ticket of lowest density, or None."""
        return smallest_winning(self.verdicts)

    @property
    def headline(self) -> str:
        """The result in a sentence or two of plain words."""
        return headline(self.verdicts, has_dense=self.dense is not None)

    def branch(self, name: str) -> list[LevelSummary]:
        """The levels of a branch, rising; those of a control begin at 1."""
        return [level for level in self.levels if level.branch == name]

    def level(self, branch: str, level: int) -> LevelSummary | None:
        """One level of a branch; `("dense", 0)` and any branch's level 0 are the dense network."""
        place = DENSE if branch == "dense" else (branch, level)
        return next((found for found in self.levels if (found.branch, found.level) == place), None)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: the content of `summary.json`."""
        winning = self.smallest_winning
        return {
            "recipe": self.name,
            "title": self.title,
            "run": self.run,
            "complete": self.complete,
            "missing": list(self.missing),
            "headline": self.headline,
            "seeds": list(self.seeds),
            "criteria": {
                "margin": self.criteria.margin,
                "confidence": self.criteria.confidence,
                "accuracy_resolution": self.criteria.accuracy_resolution,
                "step_resolution": self.criteria.step_resolution,
            },
            "smallest_winning": winning.to_dict() if winning else None,
            "verdicts": [verdict.to_dict() for verdict in self.verdicts],
            "levels": [level.to_dict() for level in self.levels],
        }


def summarize(run: str | Path) -> Summary:
    """Summarizes a run directory, finished or not.

    Args:
        run: The run directory.

    Raises:
        RunError: It is no run directory, or one of its files can't be read.
    """
    return summarize_files(read_run(run))


def summarize_files(files: RunFiles) -> Summary:
    """The same for a run that has been read already."""
    criteria = _criteria(files)
    levels = _levels(files, criteria.confidence)
    return Summary(
        name=str(files.recipe.get("name", files.path.resolve().parent.name)),
        title=str(files.recipe.get("title", "")),
        run=files.path.resolve().name,
        complete=files.complete,
        missing=missing(files, [(level.branch, level.level, level.outcomes) for level in levels]),
        criteria=criteria,
        levels=tuple(levels),
        verdicts=tuple(_verdicts(levels, criteria)),
    )


def _criteria(files: RunFiles) -> Criteria:
    usual, verdict = Criteria(), files.table("verdict")
    examples = files.environment.get("data", {}).get("test")
    return Criteria(
        margin=verdict.get("margin", usual.margin),
        confidence=verdict.get("confidence", usual.confidence),
        accuracy_resolution=1 / examples if examples else 0.0,
        step_resolution=float(files.table("train").get("evaluate_every", 0)),
    )


def _levels(files: RunFiles, confidence: float) -> list[LevelSummary]:
    groups: dict[tuple[str, int], dict[int, list]] = defaultdict(lambda: defaultdict(list))
    for (seed, branch, level), results in sorted(files.results.items()):
        if all(name in results for name in _NEEDED):
            groups[_DRAW.sub("", branch), level][seed].append(results)
    order = sorted(groups, key=lambda group: (group[0] != DENSE[0], group))
    return [_level(branch, level, groups[branch, level], confidence) for branch, level in order]


def _level(branch: str, level: int, by_seed: _BySeed, confidence: float) -> LevelSummary:
    def mean_of_draws(name: str, place: int = 1) -> dict[int, float]:
        return {
            seed: math.fsum(draw.get(name, (0, 0.0))[place] for draw in draws) / len(draws)
            for seed, draws in by_seed.items()
        }

    def spread(name: str, place: int = 1) -> Spread:
        values = mean_of_draws(name, place)
        return Spread(values, t_interval(list(values.values()), confidence=confidence))

    def mean(name: str) -> float:
        return math.fsum(mean_of_draws(name).values()) / len(by_seed)

    draws = [draw for draws in by_seed.values() for draw in draws]
    return LevelSummary(
        branch=branch,
        level=level,
        density=mean("density"),
        remaining=mean("remaining"),
        prunable=round(mean("prunable")),
        accuracy=spread("accuracy_at_early_stop"),
        accuracy_at_end=spread("accuracy_at_end"),
        early_stop_step=spread("accuracy_at_early_stop", 0),
        seconds=math.fsum(draw.get("seconds", (0, 0.0))[1] for draw in draws),
    )


def _verdicts(levels: list[LevelSummary], criteria: Criteria) -> list[LevelVerdict]:
    found = {(level.branch, level.level): level for level in levels}
    dense = found.get(DENSE)
    controls = sorted({level.branch for level in levels} - {DENSE[0]})
    if dense is None:
        return []
    return [
        judge(
            number,
            level.density,
            ticket=level.outcomes,
            dense=dense.outcomes,
            controls={
                name: found[name, number].outcomes for name in controls if (name, number) in found
            },
            criteria=criteria,
        )
        for (branch, number), level in found.items()
        if branch == DENSE[0] and number > 0 and set(level.outcomes) & set(dense.outcomes)
    ]
