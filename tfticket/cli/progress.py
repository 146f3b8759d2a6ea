"""Progress of a run as plain lines, and the time left."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import IO, TYPE_CHECKING

from tfticket.cli.plan import duration, plan_lines
from tfticket.runs.plan import Plan
from tfticket.runs.progress import Progress

if TYPE_CHECKING:
    from tfticket.runs.runs import FinishedNetwork

# Steps are told after a tenth of the time that the run has taken, within these bounds.
_LEAST_SECONDS, _MOST_SECONDS = 3.0, 60.0
# A first evaluation after so long tells the rate well enough: little of it was compilation.
_SLOW_SECONDS = 30.0


@contextlib.contextmanager
def on_stderr(finished: Iterable[FinishedNetwork] = ()) -> Iterator[Lines]:
    """Shows progress as suits stderr until the block ends: live on a terminal, else as lines.

    Args:
        finished: The networks that the run has finished before.
    """
    if not sys.stderr.isatty():
        yield Lines(sys.stderr)
        return
    from tfticket.cli.screen import live_screen

    with live_screen(finished) as screen:
        yield screen


class StepClock:
    """Estimates the time left from the rate of steps.

    The first steps of a process wait for compilation, so the rate is that since the first
    evaluation. Until there is a second one, the planned time holds; without a plan, a first
    evaluation that took long.

    Args:
        steps_left: Optimizer steps still to do.
        now: Returns seconds.
        planned_seconds: What they were estimated to take, if they were.
    """

    def __init__(
        self,
        steps_left: int,
        now: Callable[[], float] = time.monotonic,
        planned_seconds: float | None = None,
    ) -> None:
        self.total = steps_left
        self.done = 0
        self._now = now
        self._planned = planned_seconds
        self._began = self._last = now()
        self._first: tuple[float, int] | None = None
        self._steps = 0  # of the last evaluation

    def advance(self, steps: int) -> None:
        """Counts `steps` more as done."""
        self.done += steps
        self._steps = steps
        self._last = self._now()
        if self._first is None:
            self._first = (self._last, self.done)

    @property
    def seconds_left(self) -> float | None:
        """The estimate; None until there is one. It falls until the next evaluation is due."""
        rate = self._seconds_a_step()
        if rate is None:
            return None
        since = self._now() - self._last
        gone = min(since, self._steps * rate) if self._steps else since
        return max(0.0, (self.total - self.done) * rate - gone)

    def _seconds_a_step(self) -> float | None:
        if self._first is not None:
            at, done = self._first
            if self.done > done:
                return (self._last - at) / (self.done - done)
            if self._planned is None and at - self._began >= _SLOW_SECONDS and done:
                return (at - self._began) / done
        return self._planned / self.total if self._planned is not None and self.total else None


def measurements(measured: Mapping[str, float]) -> list[str]:
    """What `Progress.update` hears in words, the most important first."""
    shown = {
        "val_accuracy": ("validation accuracy", percent),
        "val_loss": ("validation loss", number),
        "accuracy": ("accuracy", percent),
        "loss": ("loss", number),
        "learning_rate": ("lr", "{:g}".format),
        "gauge": ("lr*sharpness/2", "{:.2f}".format),
        "beta": ("beta", "{:.3g}".format),
    }
    return [
        f"{name} {said(measured[key])}" for key, (name, said) in shown.items() if key in measured
    ]


def outcome(summary: Mapping[str, float]) -> tuple[str, float] | None:
    """The test accuracy that a network came to, or else its loss; None where it diverged."""
    if "diverged_step" in summary:
        return None
    for key in ("accuracy_at_early_stop", "accuracy_at_end", "loss_at_end"):
        if key in summary:
            return f"test {key.partition('_')[0]}", summary[key]
    return None


def percent(share: float) -> str:
    """A share in percent, with two decimals."""
    return f"{100 * share:.2f} %"


def number(value: float) -> str:
    """A loss: four decimals, or none where it is large."""
    return f"{value:.4f}" if abs(value) < 1000 else f"{value:,.0f}"


def written(name: str, value: float) -> str:
    """A value of `outcome`."""
    return percent(value) if name.endswith("accuracy") else number(value)


class Lines:
    """`tfticket.runs.progress.Progress` as plain lines: each network, and now and then a step.

    Args:
        stream: Where to.
        now: Returns seconds.
    """

    def __init__(self, stream: IO[str] | None, now: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._now = now
        self.clock = StepClock(0, now)
        self.levels, self.width = True, 8
        self._began = self._said = now()
        self._network = Part(self)

    def plan(self, plan: Plan) -> None:
        """Prints the plan; its title was said before."""
        self.clock = StepClock(plan.steps_left, self._now, plan.seconds)
        self.levels = plan.rows != "networks"
        if not self.levels:
            self.width = max(len(each.branch) for each in plan.conditions)
        self.say_plan(plan)

    def begin(self, seed: int, branch: str, level: int, steps: int, density: float) -> None:
        """Notes what the next updates are about."""
        self._network.begin(seed, branch, level, steps, density)

    def update(self, step: int, measured: Mapping[str, float]) -> None:
        """Advances the clock, and shows where training is."""
        self._network.update(step, measured)

    def end(self, seed: int, branch: str, level: int, summary: Mapping[str, float]) -> None:
        """Prints what a network came to."""
        self._network.end(seed, branch, level, summary)

    def message(self, text: str) -> None:
        """Prints a line."""
        self.say(text)

    def part(self, name: str) -> Progress:
        """One of several networks that are trained at the same time: its lines say which."""
        return Part(self, name)

    @property
    def time_left(self) -> str:
        """In words; empty until it can be told."""
        seconds = self.clock.seconds_left
        return "" if seconds is None else f"{duration(seconds)} left"

    def say(self, line: str) -> None:
        """Prints a line."""
        print(line, file=self._stream, flush=True)
        self._said = self._now()

    def say_plan(self, plan: Plan) -> None:
        """Prints what a run will do."""
        for line in plan_lines(plan):
            self.say(line)
        self.say("")

    def show(self, part: Part, told: Sequence[str]) -> None:
        """Prints where training is, unless something was printed a moment ago."""
        pause = (self._now() - self._began) / 10
        if self._now() - self._said >= min(max(pause, _LEAST_SECONDS), _MOST_SECONDS):
            self.say("  ".join([*part.place(self), *told, self.time_left]).rstrip())

    def ended(self, part: Part, summary: Mapping[str, float]) -> None:
        """Prints what a network came to."""
        parts = part.place(self)
        found = outcome(summary)
        if "diverged_step" in summary:
            parts.append(f"diverged by step {summary['diverged_step']:,.0f}")
        elif found is not None:
            parts.append(f"{found[0]} {written(*found)}")
        if "early_stop_step" in summary:
            parts.append(f"at step {summary['early_stop_step']:,.0f}")
        if "seconds" in summary:
            parts.append(f"{summary['seconds']:.1f} s")
        self.say("  ".join([*parts, self.time_left]).rstrip())


class Part:
    """Networks that are trained one after the other, among others that go on meanwhile.

    Args:
        lines: What shows them.
        name: Of their task; what it names before the seed is said, as a search's structure.

    Attributes:
        structure: What the task's name says before the seed, if anything: `structure channel`.
        seed, branch, level, density: The network that is trained.
        steps: How many steps it makes.
        step: How many it has made.
    """

    def __init__(self, lines: Lines, name: str = "") -> None:
        self._lines = lines
        before, seed, _ = name.partition(", seed ")
        self.structure = before if seed else ""
        self.seed, self.branch, self.level, self.density = 0, "", 0, 1.0
        self.steps = self.step = 0

    def plan(self, plan: Plan) -> None:
        """See `Progress`; there is one plan for all parts."""

    def begin(self, seed: int, branch: str, level: int, steps: int, density: float) -> None:
        """See `Progress`."""
        self.seed, self.branch, self.level, self.density = seed, branch, level, density
        self.steps, self.step = steps, 0
        self._lines.show(self, [f"step 0/{steps:,}"])

    def update(self, step: int, measured: Mapping[str, float]) -> None:
        """See `Progress`."""
        self._lines.clock.advance(step - self.step)
        self.step = step
        told = [f"step {step:,}/{self.steps:,}", *measurements(measured)]
        self._lines.show(self, told)

    def end(self, seed: int, branch: str, level: int, summary: Mapping[str, float]) -> None:
        """See `Progress`."""
        self.seed, self.branch, self.level = seed, branch, level
        self._lines.ended(self, summary)

    def message(self, text: str) -> None:
        """See `Progress`."""
        self._lines.say(text)

    def part(self, name: str) -> Progress:
        """See `Progress`."""
        return self

    def place(self, lines: Lines) -> list[str]:
        """Which network it is, in words."""
        names = [self.structure] if self.structure else []
        names += [f"seed {self.seed}", f"{self.branch:<{lines.width}}"]
        if lines.levels:
            names += [f"level {self.level:2d}", f"density {100 * self.density:6.2f} %"]
        return names
