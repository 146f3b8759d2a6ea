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
from tfticket.recipe.progress import NormsPlan, Plan

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
        self._clock = StepClock(0, now)
        self._level = ""
        self._levels, self._width = True, 8
        self._steps = self._step = 0
        self._said = now()

    def plan(self, plan: Plan | NormsPlan) -> None:
        """Prints the plan."""
        self._clock = StepClock(plan.steps_left, self._now)
        if isinstance(plan, NormsPlan):
            self._levels = plan.searches
            if not plan.searches:
                self._width = max(len(cell.branch) for cell in plan.cells)
        for line in plan_lines(plan):
            self.say(line)
        self.say("")

    def begin(self, seed: int, branch: str, level: int, steps: int, density: float) -> None:
        """Notes what the next updates are about."""
        searched = f" {level:2d}  density {100 * density:6.2f} %" if self._levels else ""
        self._level = f"seed {seed}  {branch:<{self._width}}{searched}"
        self._steps, self._step = steps, 0

    def update(self, step: int, measured: Mapping[str, float]) -> None:
        """Advances the clock, and shows where training is."""
        self._clock.advance(step - self._step)
        self._step = step
        self.show(f"{self._level}  step {step:,}/{self._steps:,}", measurements(measured))

    @property
    def time_left(self) -> str:
        """In words; empty until it can be told."""
        seconds = self._clock.seconds_left
        return "" if seconds is None else f"{duration(seconds)} left"

    def end(self, seed: int, branch: str, level: int, summary: Mapping[str, float]) -> None:
        """Prints what a level came to."""
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
        self.say("  ".join([*parts, self.time_left]).rstrip())

    def message(self, text: str) -> None:
        """Prints a line."""
        self.say(text)

    def say(self, line: str) -> None:
        """A line that stays."""
        print(line, file=self._stream, flush=True)
        self._said = self._now()

    def show(self, place: str, measured: str) -> None:
        """What soon is out of date: a line every quarter of a minute."""
        if self._now() - self._said >= _SECONDS_BETWEEN_LINES:
            self.say(f"{place}  {measured}  {self.time_left}".rstrip())


class Screen(Lines):
    """The same on a terminal: what goes out of date stays at the bottom, with a bar."""

    def __init__(self, live: Live, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__(None, now)
        self._live = live

    def say(self, line: str) -> None:
        """See `Lines`."""
        self._live.console.print(Text(line), soft_wrap=True)

    def show(self, place: str, measured: str) -> None:
        """See `Lines`."""
        total = Table.grid(padding=(0, 1))
        bar = ProgressBar(total=max(self._clock.total, 1), completed=self._clock.done, width=40)
        total.add_row(bar, self.time_left)
        lines = (Text(line, no_wrap=True, overflow="ellipsis") for line in (place, measured))
        self._live.update(Group(*lines, total))

    def end(self, seed: int, branch: str, level: int, summary: Mapping[str, float]) -> None:
        """See `Lines`; what was at the bottom belonged to this level."""
        self._live.update(Text(""))
        super().end(seed, branch, level, summary)
