"""The table of a run: one row for each level of a search, or for each network of a study."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tfticket.cli.common import columns
from tfticket.cli.progress import Part, outcome, percent, written
from tfticket.runs.plan import Plan, Trial

if TYPE_CHECKING:
    from tfticket.runs.runs import FinishedNetwork

_TICKET = "ticket"
_Column = tuple[str, Callable[["_Row"], str]]
"""Its header, and a row's cell."""


@dataclass(eq=False)
class _Row:
    """Networks of several seeds, in columns: the ticket and its controls, or a single one.

    Attributes:
        name: What stands at its left.
        planned: Number of networks by column.
        ended: By column, what each finished network came to, as far as it was measured.
        density: Share of weights that are left.
        diverged: The finished networks that diverged.
    """

    name: str
    planned: Mapping[str, int]
    ended: dict[str, dict[Trial, tuple[str, float] | None]] = field(default_factory=dict)
    density: float = 1.0
    diverged: set[Trial] = field(default_factory=set)

    def count(self, column: str) -> int:
        return len(self.ended.get(column, {}))

    @property
    def is_done(self) -> bool:
        return all(self.count(column) >= planned for column, planned in self.planned.items())

    def seeds(self, column: str) -> str:
        return f"{self.count(column)}/{self.planned[column]}" if column in self.planned else ""

    def mean(self, column: str) -> str:
        found = [each for each in self.ended.get(column, {}).values() if each is not None]
        if not found:
            return ""
        return written(found[0][0], sum(value for _, value in found) / len(found))

    def outcomes(self) -> Iterator[tuple[str, float]]:
        for ended in self.ended.values():
            yield from (each for each in ended.values() if each is not None)

    def controls(self) -> str:
        names = [name for name in self.planned if name != _TICKET]
        done, planned = sum(map(self.count, names)), sum(self.planned[name] for name in names)
        return f"{done}/{planned}" if planned else ""


class Board:
    """What is known of the networks of a run, as a table that fits a terminal.

    Args:
        plan: What the run does.
        finished: The networks that it has finished before.
    """

    def __init__(self, plan: Plan, finished: Iterable[FinishedNetwork] = ()) -> None:
        self._plan = plan
        seeds = len(plan.seeds)
        if plan.rows == "levels":
            self._rows = [
                _Row(
                    str(level),
                    {name: seeds for name, at in plan.branches.items() if level in at},
                    density=survivors.density,
                )
                for level, survivors in enumerate(plan.levels)
            ]
        else:
            self._rows = [
                _Row(each.branch.removeprefix("search "), {"": len(each.seeds) * each.networks})
                for each in plan.conditions
            ]
        self._training: dict[Part, _Row] = {}
        for each in finished:
            self._record(each.structure, each.seed, each.branch, each.level, each.summary)

    def begin(self, part: Part) -> None:
        """Marks the row of a network as in training."""
        row = self._row(part.structure, part.branch, part.level)
        self._training.pop(part, None)
        if row is not None:
            self._training[part] = row
            row.density = part.density

    def end(self, part: Part, summary: Mapping[str, float]) -> None:
        """Notes what a network came to."""
        self._training.pop(part, None)
        self._record(part.structure, part.seed, part.branch, part.level, summary)

    def stop(self) -> None:
        """Marks no row as in training."""
        self._training.clear()

    def lines(self, width: int, room: int | None = None) -> list[str]:
        """The table in at most `width` columns and, with its header, `room` lines.

        Columns and rows are left out where there is no room for them; none is cut. The rows around
        the networks in training stay, and the first, which others are compared with.
        """
        for layout in self._layouts():
            cells = [tuple(cell(row) for _, cell in layout) for row in self._rows]
            lines = columns([tuple(name for name, _ in layout), *cells])
            if max(len("  ".join(name for name, _ in layout)), *map(len, lines)) <= width:
                break
        shown = self._shown(len(self._rows) if room is None else room - 1)
        header, *rows = lines
        gaps = {at: [f"({left_out} more)"] for at, left_out in _gaps(shown, len(rows))}
        kept = (line for at in shown for line in (*gaps.get(at, []), rows[at]))
        return [header, *kept, *gaps.get(len(rows), [])]

    def _row(self, structure: str, branch: str, level: int) -> _Row | None:
        names = {"levels": str(level), "searches": structure.rpartition(" ")[2], "networks": branch}
        name = names[self._plan.rows]
        return next((row for row in self._rows if row.name == name), None)

    def _record(
        self, structure: str, seed: int, branch: str, level: int, summary: Mapping[str, float]
    ) -> None:
        row, trial = self._row(structure, branch, level), Trial(seed, branch, level)
        if row is not None:
            column = branch if self._plan.rows == "levels" else ""
            row.ended.setdefault(column, {})[trial] = outcome(summary)
            if "diverged_step" in summary:
                row.diverged.add(trial)

    def _layouts(self) -> Iterable[Sequence[_Column]]:
        """The columns, ever fewer; headers are as wide as any cell, so that none comes and goes."""
        state: _Column = ("state     ", self._state)
        if self._plan.rows != "levels":
            searches = self._plan.rows == "searches"
            name: _Column = ("search" if searches else "network", lambda row: row.name)
            if searches:
                yield name, ("networks", lambda row: row.seeds("")), state
            else:
                seeds: _Column = ("seeds", lambda row: row.seeds(""))
                yield name, seeds, (self._measure(), lambda row: row.mean("")), state
                yield name, seeds, ("result  ", lambda row: row.mean(""))
            yield (name,)
            return
        level: _Column = ("level", lambda row: row.name)
        done: _Column = ("seeds", lambda row: row.seeds(_TICKET))
        controls = [_mean_of(name) for name in self._plan.branches if name != _TICKET]
        for weights, measure, those in (
            ("weights left", self._measure(), controls),
            ("weights ", "ticket  ", controls),
            ("weights ", "ticket  ", [("controls", _Row.controls)] if controls else []),
        ):
            left: _Column = (weights, lambda row: percent(row.density))
            mean: _Column = (measure, lambda row: row.mean(_TICKET))
            yield level, left, done, mean, *those, state
        yield level, done

    def _measure(self) -> str:
        names = (name for row in self._rows for name, _ in row.outcomes())
        return next(names, "test accuracy")

    def _state(self, row: _Row) -> str:
        if row in self._training.values():
            return "training"
        if row.diverged:
            return f"{len(row.diverged)} diverged"
        return "done" if row.is_done else ""

    def _shown(self, room: int) -> list[int]:
        """The rows to show: those nearest to networks in training, and the first."""
        count, training = len(self._rows), self._training.values()
        anchors = [number for number, row in enumerate(self._rows) if row in training]
        unfinished = (number for number, row in enumerate(self._rows) if not row.is_done)
        anchors = anchors or [next(unfinished, count - 1)]

        def distance(number: int) -> float:
            nearest = min(abs(number - at) for at in anchors)
            return nearest if number else min(nearest, 0.5)

        by_nearness = sorted(range(count), key=distance)
        shown: list[int] = []
        for number in by_nearness:
            more = sorted([*shown, number])
            if len(more) + len(list(_gaps(more, count))) > room:
                break
            shown = more
        return shown


def _gaps(shown: Sequence[int], count: int) -> Iterator[tuple[int, int]]:
    """Where rows are left out, and how many."""
    for before, after in itertools.pairwise([-1, *shown, count]):
        if after > before + 1:
            yield after, after - before - 1


def _mean_of(column: str) -> _Column:
    return f"{column:<8}", lambda row: row.mean(column)
