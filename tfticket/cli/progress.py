"""How a run goes on: a live display on a terminal, plain lines everywhere else."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import IO

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tfticket.cli.plan import duration, plan_lines
from tfticket.recipe.progress import NormsPlan, Plan, Progress

_SECONDS_BETWEEN_LINES = 15.0


@contextlib.contextmanager
def on_stderr() -> Iterator[Lines]:
    """The display that suits stderr, until the block ends."""
    if not sys.stderr.isatty():
        yield Lines(sys.stderr)
        return
    console = Console(stderr=True, highlight=False)
    with Live(console=console, refresh_per_second=4, transient=True) as live:
        yield Screen(live)


class StepClock:
    """Estimates the time left from the rate of steps measured so far.

    The first steps of a process wait for compilation, so the rate is measured from the first
    evaluation on. Whatever else takes time between evaluations is part of the rate.

    Args:
        steps_left: Optimizer steps still to do.
        now: Returns seconds.
    """

    def __init__(self, steps_left: int, now: Callable[[], float] = time.monotonic) -> None:
        self.total = steps_left
        self.done = 0
        self._now = now
        self._began: tuple[float, int] | None = None

    def advance(self, steps: int) -> None:
        """`steps` more are done."""
        self.done += steps
        if self._began is None:
            self._began = (self._now(), self.done)

    @property
    def seconds_left(self) -> float | None:
        """None until it can be told."""
        if self._began is None or self.done == self._began[1]:
            return None
        began, done = self._began
        return max(0, self.total - self.done) * (self._now() - began) / (self.done - done)


def measurements(measured: Mapping[str, float]) -> str:
    """What `Progress.update` tells, in words."""
    parts = [
        f"{name} {number(measured[name])}" for name in ("loss", "accuracy") if name in measured
    ]
    held_out = [number(measured[n]) for n in ("val_loss", "val_accuracy") if n in measured]
    parts += [f"validation {' '.join(held_out)}"] if held_out else []
    if "learning_rate" in measured:
        parts.append(f"lr {measured['learning_rate']:g}")
    if "gauge" in measured:
        parts.append(f"lr*sharpness/2 {measured['gauge']:.2f}")
    if "beta" in measured:
        parts.append(f"beta {measured['beta']:.3g}")
    return "  ".join(parts)


def number(value: float) -> str:
    """A loss or an accuracy: four decimals, or none where it is large."""
    return f"{value:.4f}" if abs(value) < 1000 else f"{value:,.0f}"


class Lines:
    """`tfticket.recipe.progress.Progress` as plain lines: each level, and now and then a step.

    Args:
        stream: Where to.
        now: Returns seconds.
    """

    def __init__(self, stream: IO[str] | None, now: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._now = now
        self.clock = StepClock(0, now)
        self.levels, self.width = True, 8
        self._said = now()
        self._network = _Part(self)

    def plan(self, plan: Plan | NormsPlan) -> None:
        """Prints the plan."""
        self.clock = StepClock(plan.steps_left, self._now)
        if isinstance(plan, NormsPlan):
            self.levels = plan.searches
            if not plan.searches:
                self.width = max(len(cell.branch) for cell in plan.cells)
        for line in plan_lines(plan):
            self.say(line)
        self.say("")

    def begin(self, seed: int, branch: str, level: int, steps: int, density: float) -> None:
        """Notes what the next updates are about."""
        self._network.begin(seed, branch, level, steps, density)

    def update(self, step: int, measured: Mapping[str, float]) -> None:
        """Advances the clock, and shows where training is."""
        self._network.update(step, measured)

    def end(self, seed: int, branch: str, level: int, summary: Mapping[str, float]) -> None:
        """Prints what a level came to."""
        self._network.end(seed, branch, level, summary)

    def message(self, text: str) -> None:
        """Prints a line."""
        self.say(text)

    def part(self, name: str) -> Progress:
        """One of several networks that are trained at the same time: its lines say which."""
        return _Part(self, name)

    @property
    def time_left(self) -> str:
        """In words; empty until it can be told."""
        seconds = self.clock.seconds_left
        return "" if seconds is None else f"{duration(seconds)} left"

    def say(self, line: str) -> None:
        """A line that stays."""
        print(line, file=self._stream, flush=True)
        self._said = self._now()

    def show(self, part: object, place: str, measured: str) -> None:
        """What soon is out of date: a line every quarter of a minute."""
        if self._now() - self._said >= _SECONDS_BETWEEN_LINES:
            self.say(f"{place}  {measured}  {self.time_left}".rstrip())

    def forget(self, part: object) -> None:
        """What was shown of a part belongs to a network that has ended."""


class _Part:
    """Networks that are trained one after the other, among others that go on meanwhile.

    Args:
        lines: Where they are told of.
        name: Of their task; what it names before the seed is said, as a search's structure.
    """

    def __init__(self, lines: Lines, name: str = "") -> None:
        self._lines = lines
        before, seed, _ = name.partition(", seed ")
        self._where = f"{before}  " if seed else ""
        self._level = ""
        self._steps = self._step = 0

    def plan(self, plan: Plan | NormsPlan) -> None:
        """See `Progress`; there is one plan for all parts."""

    def begin(self, seed: int, branch: str, level: int, steps: int, density: float) -> None:
        lines = self._lines
        searched = f" {level:2d}  density {100 * density:6.2f} %" if lines.levels else ""
        self._level = f"{self._where}seed {seed}  {branch:<{lines.width}}{searched}"
        self._steps, self._step = steps, 0

    def update(self, step: int, measured: Mapping[str, float]) -> None:
        self._lines.clock.advance(step - self._step)
        self._step = step
        place = f"{self._level}  step {step:,}/{self._steps:,}"
        self._lines.show(self, place, measurements(measured))

    def end(self, seed: int, branch: str, level: int, summary: Mapping[str, float]) -> None:
        self._lines.forget(self)
        parts = [self._level]
        if "diverged_step" in summary:
            parts.append(f"diverged by step {summary['diverged_step']:,.0f}")
        elif "accuracy_at_early_stop" in summary:
            parts.append(f"test accuracy {summary['accuracy_at_early_stop']:.4f}")
        elif "accuracy_at_end" in summary:
            parts.append(f"test accuracy {summary['accuracy_at_end']:.4f}")
        elif "loss_at_end" in summary:
            parts.append(f"test loss {number(summary['loss_at_end'])}")
        if "early_stop_step" in summary:
            parts.append(f"at step {summary['early_stop_step']:,.0f}")
        if "seconds" in summary:
            parts.append(f"{summary['seconds']:.1f} s")
        self._lines.say("  ".join([*parts, self._lines.time_left]).rstrip())

    def message(self, text: str) -> None:
        self._lines.say(text)

    def part(self, name: str) -> Progress:
        return self


class Screen(Lines):
    """The same on a terminal: what goes out of date stays at the bottom, with a bar.

    Networks that are trained at the same time have two lines each.
    """

    def __init__(self, live: Live, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__(None, now)
        self._live = live
        self._shown: dict[object, tuple[str, str]] = {}

    def say(self, line: str) -> None:
        """See `Lines`."""
        self._live.console.print(Text(line), soft_wrap=True)

    def show(self, part: object, place: str, measured: str) -> None:
        """See `Lines`."""
        self._shown[part] = (place, measured)
        self._draw()

    def forget(self, part: object) -> None:
        """See `Lines`."""
        self._shown.pop(part, None)
        self._draw()

    def _draw(self) -> None:
        if not self._shown:
            self._live.update(Text(""))
            return
        total = Table.grid(padding=(0, 1))
        bar = ProgressBar(total=max(self.clock.total, 1), completed=self.clock.done, width=40)
        total.add_row(bar, self.time_left)
        lines = (
            Text(line, no_wrap=True, overflow="ellipsis")
            for shown in self._shown.values()
            for line in shown
        )
        self._live.update(Group(*lines, total))
