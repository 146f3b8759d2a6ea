"""The numbers of a run: per branch and level over seeds, and the verdicts.

The page, `publish` and the command line all say what stands here, so that they can't disagree.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tfticket.lottery.comparison import Comparison, Criteria, Outcome, compare, t_interval
from tfticket.lottery.speed import LossCurve
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
from tfticket.report.judging import Spread
from tfticket.report.reading import DENSE, Place, RunFiles, read_run
from tfticket.report.words import ranges
from tfticket.studies.lottery.headline import headline, hypothesis
from tfticket.studies.lottery.schema import control_levels


@dataclass(frozen=True)
class Summary:
    """What a run came to, as far as it is finished.

    Attributes:
        name: Name of the recipe.
        title: Its title.
        run: Name of the run.
        complete: Whether the run is finished.
        missing: What isn't there yet, a sentence each; empty for a complete run.
        criteria: Margins, confidence and number of looks of the verdicts.
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

    @property
    def hypothesis(self) -> str:
        """How fast tickets learn along the levels, in a sentence; empty where it can't be told."""
        return hypothesis(self.verdicts)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the verdicts should know, a sentence each."""
        return (
            *_looks(self.criteria),
            *_without_twin(self.verdicts),
            *_unfinished_learning(self.levels),
            *_isolated(self.verdicts),
        )

    def branch(self, name: str) -> list[LevelSummary]:
        """The levels of a branch, rising; those of a control begin at 1."""
        return [level for level in self.levels if level.branch == name]

    def level(self, branch: str, level: int) -> LevelSummary | None:
        """One level of a branch; `("dense", 0)` and any branch's level 0 are the dense network."""
        place = DENSE if branch == "dense" else (branch, level)
        return next((found for found in self.levels if (found.branch, found.level) == place), None)

    def against_dense(self, level: LevelSummary) -> Comparison | None:
        """Any network against the dense one, or None when they have no seed in common."""
        if self.dense is None or not set(level.outcomes) & set(self.dense.outcomes):
            return None
        return compare(level.outcomes, self.dense.outcomes, criteria=self.criteria)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: the content of `summary.json`."""
        winning, matching = self.smallest_winning, smallest_matching(self.verdicts)
        return {
            "recipe": self.name,
            "title": self.title,
            "run": self.run,
            "complete": self.complete,
            "missing": list(self.missing),
            "headline": self.headline,
            "hypothesis": self.hypothesis,
            "notes": list(self.notes),
            "seeds": list(self.seeds),
            "criteria": {
                "margin": self.criteria.margin,
                "time_margin": self.criteria.time_margin,
                "confidence": self.criteria.confidence,
                "looks": self.criteria.looks,
                "interval_confidence": self.criteria.interval_confidence,
                "accuracy_resolution": self.criteria.accuracy_resolution,
            },
            "smallest_winning": winning.to_dict() if winning else None,
            "smallest_matching": matching.to_dict() if matching else None,
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
    levels = read_levels(files, confidence=criteria.interval_confidence)
    return Summary(
        name=str(files.recipe.get("name", files.path.resolve().parent.name)),
        title=str(files.recipe.get("title", "")),
        run=files.path.resolve().name,
        complete=files.complete,
        missing=missing(files, [(level.branch, level.level, level.outcomes) for level in levels]),
        criteria=criteria,
        levels=tuple(levels),
        verdicts=_verdicts(levels, criteria, rewound=_rewound(files)),
    )


def _criteria(files: RunFiles) -> Criteria:
    usual, verdict = Criteria(), files.table("verdict")
    examples = files.environment.get("data", {}).get("test")
    return Criteria(
        margin=verdict.get("margin", usual.margin),
        time_margin=verdict.get("time_margin", usual.time_margin),
        confidence=verdict.get("confidence", usual.confidence),
        looks=max(1, len(files.environment.get("looks") or ())),
        accuracy_resolution=1 / examples if examples else 0.0,
    )


def _rewound(files: RunFiles) -> bool:
    return files.table("lottery").get("rewind", "weights") == "weights"


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


def _looks(criteria: Criteria) -> list[str]:
    if criteria.looks == 1:
        return []
    return [
        f"This is look {criteria.looks} at the data: seeds were added to a finished run. Each "
        "further look spends half of the error that is left, so the intervals are "
        f"{100 * criteria.interval_confidence:.6g} % intervals."
    ]


def _without_twin(verdicts: tuple[LevelVerdict, ...]) -> list[str]:
    missing = [v.level for v in verdicts if v.twin is None and v.verdict is Verdict.MATCHING]
    if not missing:
        return []
    noun = "Level" if len(missing) == 1 else "Levels"
    return [
        f"{noun} {words.ranges(missing)}: the reinitialized control was not trained, so these "
        f"tickets can match but not win. `controls.levels` says where {TWIN} is trained."
    ]


def _unfinished_learning(levels: tuple[LevelSummary, ...]) -> list[str]:
    falling = sum(level.still_falling for level in levels)
    if not falling:
        return []
    networks = sum(level.networks for level in levels)
    return [
        f"In {falling} of {words.plural(networks, 'network')} the validation loss was lowest at "
        "the last evaluation, so their early-stop iteration is where training ended."
    ]


def _isolated(verdicts: tuple[LevelVerdict, ...]) -> list[str]:
    winning = smallest_winning(verdicts)
    worse = [
        verdict.level
        for verdict in verdicts
        if winning and verdict.verdict is Verdict.WORSE and verdict.density > winning.density
    ]
    if not worse:
        return []
    return [
        f"Level {words.ranges(worse)} is worse than the dense network although it has more weights "
        "than the smallest winning ticket. More seeds would tell whether that win is luck."
    ]


_LOSS = ("validation", "loss")
_NEEDED = ("accuracy_at_early_stop", "accuracy_at_end", "density")
# A control may be drawn several times for one ticket: `reinit`, `reinit_2`, ...
_DRAW = re.compile(r"_\d+$")


@dataclass(frozen=True)
class _Network:
    """What the files of a run say of one finished network."""

    results: Mapping[str, tuple[int, float]]
    curve: LossCurve

    @classmethod
    def read(cls, files: RunFiles, place: Place) -> _Network | None:
        """None when it isn't finished."""
        results, curve = files.results[place], files.curves.get(place, {}).get(_LOSS)
        if curve is None or not all(name in results for name in _NEEDED):
            return None
        steps, losses = curve.steps.astype(int).tolist(), curve.values.tolist()
        return cls(results, LossCurve(tuple(steps), tuple(losses)))


_BySeed = Mapping[int, list[_Network]]


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
        curves: Validation loss along training, of each draw of each seed.
        seconds: Time that the level took, over all seeds.
        networks: How many were trained.
        still_falling: How many of them had the minimum of the validation loss at their last
            evaluation, so that the early-stop iteration is where training ended.
    """

    branch: str
    level: int
    density: float
    remaining: float
    prunable: int
    accuracy: Spread
    accuracy_at_end: Spread
    early_stop_step: Spread
    curves: Mapping[int, tuple[LossCurve, ...]]
    seconds: float
    networks: int
    still_falling: int

    @property
    def outcomes(self) -> dict[int, Outcome]:
        """Seed to outcome, for comparisons."""
        return {
            seed: Outcome(
                self.accuracy.values[seed],
                self.accuracy_at_end.values[seed],
                self.early_stop_step.values[seed],
                self.curves[seed],
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
            "networks": self.networks,
            "still_falling": self.still_falling,
        }


def read_levels(files: RunFiles, *, confidence: float) -> list[LevelSummary]:
    """All branches and levels with a finished network: `ticket` first, then controls by name.

    Args:
        files: The run.
        confidence: Coverage of the intervals, in (0, 1).
    """
    groups: dict[tuple[str, int], dict[int, list]] = defaultdict(lambda: defaultdict(list))
    for seed, branch, level in sorted(files.results):
        network = _Network.read(files, (seed, branch, level))
        if network is not None:
            groups[_DRAW.sub("", branch), level][seed].append(network)
    order = sorted(groups, key=lambda group: (group[0] != DENSE[0], group))
    return [_level(branch, level, groups[branch, level], confidence) for branch, level in order]


def _level(branch: str, level: int, by_seed: _BySeed, confidence: float) -> LevelSummary:
    def mean_of_draws(name: str, place: int = 1) -> dict[int, float]:
        return {
            seed: math.fsum(draw.results.get(name, (0, 0.0))[place] for draw in draws) / len(draws)
            for seed, draws in by_seed.items()
        }

    def spread(name: str, place: int = 1) -> Spread:
        values = mean_of_draws(name, place)
        return Spread(values, t_interval(list(values.values()), confidence=confidence))

    def mean(name: str) -> float:
        return math.fsum(mean_of_draws(name).values()) / len(by_seed)

    draws = [draw.results for draws in by_seed.values() for draw in draws]
    return LevelSummary(
        branch=branch,
        level=level,
        density=mean("density"),
        remaining=mean("remaining"),
        prunable=round(mean("prunable")),
        accuracy=spread("accuracy_at_early_stop"),
        accuracy_at_end=spread("accuracy_at_end"),
        early_stop_step=spread("accuracy_at_early_stop", 0),
        curves={seed: tuple(draw.curve for draw in draws) for seed, draws in by_seed.items()},
        seconds=math.fsum(draw.get("seconds", (0, 0.0))[1] for draw in draws),
        networks=len(draws),
        still_falling=sum(
            draw["accuracy_at_early_stop"][0] >= draw["accuracy_at_end"][0] for draw in draws
        ),
    )


def missing(
    files: RunFiles, finished: Iterable[tuple[str, int, Collection[int]]]
) -> tuple[str, ...]:
    """Names what isn't finished, a sentence each; nothing for a complete run.

    Args:
        files: The run.
        finished: Branch, level and the seeds that are finished there.
    """
    if files.complete:
        return ()
    found: dict[str, dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
    for branch, level, seeds in finished:
        for seed in seeds:
            found[branch][seed].add(level)
    sentences = []
    seeds_asked = [int(seed) for seed in files.recipe.get("seeds", ())]
    for branch, levels in _asked(files).items():
        for seed in seeds_asked:
            lacking = sorted(levels - found[branch][seed])
            if lacking:
                noun = "level" if len(lacking) == 1 else "levels"
                sentences.append(f"{branch}, seed {seed}: {noun} {ranges(lacking)} not finished")
    return tuple(sentences) or ("the run has not written its last file",)


def _asked(files: RunFiles) -> dict[str, set[int]]:
    """Branch to the levels that the recipe asks for."""
    last = int(files.table("lottery").get("levels", 0))
    asked = {DENSE[0]: set(range(last + 1))} if last else {}
    controls = files.table("controls")
    levels = set(control_levels(controls.get("levels"), last)) if last else set()
    return asked | {
        name: levels for name, wanted in controls.items() if name != "levels" and wanted
    }
