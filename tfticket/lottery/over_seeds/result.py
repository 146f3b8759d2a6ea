"""`StudyResult`: what a study of several seeds found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfticket.display import Displayable
from tfticket.display.charts import Figure
from tfticket.display.words import percent, plural
from tfticket.lottery.comparison import Interval
from tfticket.lottery.over_seeds import figures
from tfticket.lottery.over_seeds.levels import LevelSummary
from tfticket.lottery.over_seeds.verdicts import Verdicts
from tfticket.lottery.ticket import Ticket
from tfticket.lottery.trial import TICKET


class Tickets(Mapping[tuple[int, int], Ticket]):
    """Tickets by seed and level; those in files are read when they are asked for.

    Args:
        held: Tickets, or paths of ticket files.

    Example:
        >>> len(Tickets({}))
        0
    """

    def __init__(self, held: Mapping[tuple[int, int], Ticket | Path]) -> None:
        self._held = dict(sorted(held.items()))

    def __getitem__(self, place: tuple[int, int]) -> Ticket:
        held = self._held[place]
        return held if isinstance(held, Ticket) else Ticket.load(held)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)

    def __repr__(self) -> str:
        return f"Tickets({plural(len(self), 'ticket')})"

    @property
    def files(self) -> dict[tuple[int, int], Path]:
        """Paths of those that are in files, by seed and level."""
        return {place: held for place, held in self._held.items() if isinstance(held, Path)}


@dataclass(frozen=True, eq=False, repr=False)
class StudyResult(Verdicts, Displayable):
    """The result of `lottery.study`: verdicts on each level, over seeds, with intervals.

    Attributes:
        criteria: Metric, margins, confidence and number of looks of the verdicts.
        levels: Dense network, tickets and controls by level, each with its estimates over seeds.
        verdicts: One for each pruned level, levels rising; see `lottery.verdict`.
        tickets: Tickets by seed and level; level 0 is the dense network.
        directory: Where the study was stored, or None.

    Example:
        >>> from tfticket.lottery.comparison import Criteria
        >>> StudyResult(Criteria(), (), (), Tickets({})).summary()
        'No network is trained yet: there is nothing to judge.'
    """

    tickets: Tickets
    directory: Path | None = field(default=None)

    def __repr__(self) -> str:
        winning, matching = self.smallest_winning, self.smallest_matching
        said = [
            plural(len(self.seeds), "seed"),
            plural(len(self.verdicts), "level"),
            f"smallest winning: {percent(winning.density) if winning else None}",
            f"smallest matching: {percent(matching.density) if matching else None}",
        ]
        return f"StudyResult({', '.join(said)})"

    def summary(self) -> str:
        """Return the result as the command line prints it, in a sentence or two."""
        return self.sentence

    def to_rows(self) -> list[dict[str, Any]]:
        """Return a row for each level of each branch: estimates, and for tickets the verdict."""
        return [self._row(level) for level in self.levels]

    def _row(self, level: LevelSummary) -> dict[str, Any]:
        row: dict[str, Any] = {
            "level": level.level,
            "branch": level.branch,
            "density": level.density,
            "seeds": level.value.seeds,
            **_bounds(self.metric.key, level.value),
            f"{self.metric.key}_at_end": level.value_at_end.mean,
            "early_stop_step": level.early_stop_step.mean,
        }
        if level.level > 0 and (found := self.compare(level)) is not None:
            row |= {**_bounds("gain", found.gain), **_bounds("speedup", found.speedup)}
        verdicts = {found.level: str(found.verdict) for found in self.verdicts}
        return row | {"verdict": verdicts.get(level.level) if level.branch == TICKET else None}

    def _figure(self) -> Figure | None:
        return figures.hypothesis(self)


def _bounds(name: str, interval: Interval) -> dict[str, float | None]:
    several = interval.seeds > 1
    return {
        name: interval.mean,
        f"{name}_lower": interval.lower if several else None,
        f"{name}_upper": interval.upper if several else None,
    }
