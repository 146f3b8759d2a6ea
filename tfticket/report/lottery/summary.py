"""The numbers of a run: per branch and level over seeds, and the verdicts.

The page, `publish` and the command line all say what stands here, so that they can't disagree.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tfticket.lottery.comparison import Criteria
from tfticket.lottery.verdict import LevelVerdict, Verdict, judge, smallest_winning
from tfticket.report import words
from tfticket.report.lottery.headline import headline
from tfticket.report.lottery.levels import LevelSummary, read_levels
from tfticket.report.lottery.progress import missing
from tfticket.report.reading import DENSE, RunFiles, read_run


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

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the verdicts should know, a sentence each."""
        return (*_unfinished_learning(self.levels), *_isolated(self.verdicts))

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
            "notes": list(self.notes),
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
    levels = read_levels(files, confidence=criteria.confidence)
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


def _unfinished_learning(levels: tuple[LevelSummary, ...]) -> list[str]:
    falling = sum(level.still_falling for level in levels)
    if not falling:
        return []
    networks = sum(level.networks for level in levels)
    return [
        f"In {falling} of {words.plural(networks, 'network')} the validation loss was lowest at "
        "the last evaluation: their early stop is where training ended, and how much sooner a "
        "ticket learns can't be told from them. More steps a level would show it."
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
        f"Level {words.ranges(worse)} is worse than the dense network with more weights than the "
        "smallest winning ticket has; a win below may be luck, and more seeds would tell."
    ]
