"""Progress of a run on a terminal: a live table, what is trained now, and the time left."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tfticket.cli.board import Board
from tfticket.cli.plan import cost_line, seeds_line
from tfticket.cli.progress import Lines, Part
from tfticket.runs.plan import Plan
from tfticket.runs.runs import FinishedNetwork

_BAR_WIDTH = 40
_MOST_PARTS = 8


@contextlib.contextmanager
def live_screen(finished: Iterable[FinishedNetwork] = ()) -> Iterator[Screen]:
    """A screen on stderr until the block ends; its table stays.

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
    """`Lines` on a terminal: networks become a table, which stands below all other lines.

    It is drawn by the thread of `live`, while training goes on.

    Args:
        live: What draws it.
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
        self._told: dict[Part, Sequence[str] | None] = {}
        self._lock = threading.Lock()
        self._closed = False

    def say(self, line: str) -> None:
        """See `Lines`."""
        self._live.console.print(Text(line))

    def say_plan(self, plan: Plan) -> None:
        """See `Lines`; the table tells the rest."""
        self.say(seeds_line(plan))
        self.say(cost_line(plan))
        with self._lock:
            self._steps = plan.steps_total
            self._board = Board(plan, self._finished)

    def show(self, part: Part, told: Sequence[str]) -> None:
        """See `Lines`."""
        with self._lock:
            if self._board is not None and part.step == 0:
                self._board.begin(part)
            self._told[part] = told

    def ended(self, part: Part, summary: Mapping[str, float]) -> None:
        """See `Lines`."""
        with self._lock:
            self._told[part] = None  # the next one of this part has the same place
            if self._board is not None:
                self._board.end(part, summary)

    def close(self) -> None:
        """Leaves the table alone on the screen, whole; nothing where there is none."""
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
        """A line for each network that is trained now."""
        if self.clock.done >= self.clock.total:
            return ["All networks are trained."]
        if not self._told:
            return ["Starting"]
        # What has made all its steps has ended, or is about to.
        running = [(part, told) for part, told in self._told.items() if part.step < part.steps]
        return [
            _line(part, told, levels=self.levels, width=width) for part, told in running if told
        ][:_MOST_PARTS]

    def _total(self, width: int) -> Table:
        total = self._steps
        done = total - self.clock.total + self.clock.done
        said = f"{100 * done / total:.0f} %  {self.time_left or 'measuring the time left'}"
        room = max(min(_BAR_WIDTH, width - len(said) - 2), 1)
        bar = ProgressBar(total=total, completed=done, width=room)
        line = Table.grid(padding=(0, 2))
        line.add_row(bar, said)
        return line


def _line(part: Part, told: Sequence[str], *, levels: bool, width: int) -> str:
    """What is trained now: as much of it as there is room for."""
    network = f"{part.branch}, level {part.level}" if levels else part.branch
    names = [part.structure.removeprefix("structure "), f"seed {part.seed}", network]
    line, *others = [each for each in (*names, *told) if each]
    for other in others:
        if len(line) + 2 + len(other) > width:
            break
        line = f"{line}  {other}"
    return line


def _whole(line: str) -> Text:
    """A line that fits, as it is."""
    return Text(line, no_wrap=True, overflow="ignore")
