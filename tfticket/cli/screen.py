"""Progress of a run on a terminal: a live table, the networks in training, and the time left."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tfticket.cli.common import columns
from tfticket.cli.progress import Lines, Part, cost_line, outcome, percent, seeds_line, written
from tfticket.runs.plan import Plan, Trial

if TYPE_CHECKING:
    from tfticket.runs.runs import FinishedNetwork

_TICKET = "ticket"
_Column = tuple[str, Callable[["_Row"], str]]
"""Header, and text of a row."""
_BAR_WIDTH = 40
_MOST_PARTS = 8


@contextlib.contextmanager
def live_screen(finished: Iterable[FinishedNetwork] = ()) -> Iterator[Screen]:
    """Show a screen on stderr until the block ends; its table stays.

    Args:
        finished: The networks that the run has finished before.
    """
    console = Console(stderr=True, highlight=False)
    with Live(console=console, refresh_per_second=4) as live:
        screen = Screen(live, finished)
        live.update(screen)
        try:
            yield screen
        finally:
            screen.close()


class Screen(Lines):
    """`Lines` on a terminal: networks become a table, which stays below all other lines.

    The thread of `live` draws it during training.

    Args:
        live: Draws it.
        finished: The networks that the run has finished before.
        now: Returns seconds.
    """

    def __init__(
        self,
        live: Live,
        finished: Iterable[FinishedNetwork] = (),
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(None, now)
        self._live = live
        self._finished = tuple(finished)
        self._board: Board | None = None
        self._steps = 0
        self._parts: dict[Part, Sequence[str] | None] = {}
        self._lock = threading.Lock()
        self._closed = False

    def say(self, line: str) -> None:
        """See `Lines`."""
        self._live.console.print(Text(line))

    def say_plan(self, plan: Plan) -> None:
        """See `Lines`; the table shows the rest."""
        self.say(seeds_line(plan))
        self.say(cost_line(plan))
        with self._lock:
            self._steps = plan.steps_total
            self._board = Board(plan, self._finished)

    def show(self, part: Part, words: Sequence[str]) -> None:
        """See `Lines`."""
        with self._lock:
            if self._board is not None and part.step == 0:
                self._board.begin(part)
            self._parts[part] = words

    def ended(self, part: Part, summary: Mapping[str, float]) -> None:
        """See `Lines`."""
        with self._lock:
            self._parts[part] = None  # the next network of this part has the same line
            if self._board is not None:
                self._board.end(part, summary)

    def close(self) -> None:
        """Leave only the whole table on the screen, if there is one."""
        with self._lock:
            self._closed = True
            self._live.transient = self._board is None
            if self._board is not None:
                self._board.stop()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        with self._lock:
            if self._board is None:
                return
            width, height = console.size
            if self._closed:
                yield from map(_whole, ["", *self._board.lines(width)])
                return
            below = self._below(width)
            table = self._board.lines(width, max(height - len(below) - 4, 2))
            yield from map(_whole, ["", *table, "", *below])
            if self.clock.done < self.clock.total:
                yield self._total(width)

    def _below(self, width: int) -> list[str]:
        """A line for each network in training."""
        if self.clock.done >= self.clock.total:
            return ["All networks are trained."]
        if not self._parts:
            return ["Starting"]
        return [
            _line(part, words, levels=self.levels, width=width)
            for part, words in self._parts.items()
            if words and part.step < part.steps  # else it has ended, or is about to
        ][:_MOST_PARTS]

    def _total(self, width: int) -> Table:
        total = self._steps
        done = total - self.clock.total + self.clock.done
        text = f"{100 * done / total:.0f} %  {self.time_left or 'measuring the time left'}"
        room = max(min(_BAR_WIDTH, width - len(text) - 2), 1)
        bar = ProgressBar(total=total, completed=done, width=room)
        line = Table.grid(padding=(0, 2))
        line.add_row(bar, text)
        return line


def _line(part: Part, words: Sequence[str], *, levels: bool, width: int) -> str:
    """A network in training: as much as there is room for."""
    trial = part.trial
    network = f"{trial.branch}, level {trial.level}" if levels else trial.branch
    names = [part.structure.removeprefix("structure "), f"seed {trial.seed}", network]
    line, *others = [each for each in (*names, *words) if each]
    for other in others:
        if len(line) + 2 + len(other) > width:
            break
        line = f"{line}  {other}"
    return line


def _whole(line: str) -> Text:
    """A line that isn't wrapped."""
    return Text(line, no_wrap=True, overflow="ignore")


@dataclass(eq=False)
class _Row:
    """Networks of several seeds, in columns: the ticket and its controls, or a single one.

    Attributes:
        name: Its first column.
        planned: Number of networks by column.
        ended: By column, the outcome of each finished network; None where it wasn't measured.
        density: Share of remaining weights.
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
    """The networks of a run as a table that fits a terminal: a row for each level, or network.

    Args:
        plan: Of the run.
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
        """Mark the row of a network as in training."""
        row = self._row(part.structure, part.trial.branch, part.trial.level)
        self._training.pop(part, None)
        if row is not None:
            self._training[part] = row
            row.density = part.density

    def end(self, part: Part, summary: Mapping[str, float]) -> None:
        """Record the outcome of a network."""
        self._training.pop(part, None)
        self._record(part.structure, *part.trial, summary)

    def stop(self) -> None:
        """Mark no row as in training."""
        self._training.clear()

    def lines(self, width: int, room: int | None = None) -> list[str]:
        """Return the table in at most `width` columns and, with its header, `room` lines.

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
        """Choices of columns, ever fewer; headers are as wide as any cell, so that none moves."""
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
        """Rows to show: those nearest to networks in training, and the first."""
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
    """Places where rows are left out, and how many."""
    for before, after in itertools.pairwise([-1, *shown, count]):
        if after > before + 1:
            yield after, after - before - 1


def _mean_of(column: str) -> _Column:
    return f"{column:<8}", lambda row: row.mean(column)
