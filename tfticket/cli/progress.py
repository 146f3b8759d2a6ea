"""The plan of a run, its progress as plain lines, and the time left."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

from tfticket.cli.common import columns
from tfticket.runs.plan import Plan, Trial
from tfticket.wording import duration, ranges

if TYPE_CHECKING:
    from tfticket.runs.runs import FinishedNetwork

_MOST_KEYS = 8
# A step is printed after a tenth of the time that the run has taken, within these bounds.
_LEAST_SECONDS, _MOST_SECONDS = 3.0, 60.0
# A first evaluation after so long gives the rate well enough: little of it was compilation.
_SLOW_SECONDS = 30.0


def plan_lines(plan: Plan) -> list[str]:
    """Return a run's plan, without its title: networks, steps, time and disk space."""
    table = _level_lines(plan) if plan.rows == "levels" else _condition_lines(plan)
    return [seeds_line(plan), "", *table, "", cost_line(plan)]


def seeds_line(plan: Plan) -> str:
    """Return the seeds, and what each trains."""
    noun = "Seed" if len(plan.seeds) == 1 else "Seeds"
    seeds = f"{noun} {', '.join(str(seed) for seed in plan.seeds)}"
    if plan.rows == "levels":
        steps = plan.conditions[0].steps
        whole = "" if plan.structure == "unstructured" else f"; structure {plan.structure}"
        return f"{seeds}; {steps:,} steps a level{whole}."
    count = plan.networks
    nouns = "1 network" if count == 1 else f"{count} networks"
    tracked = f", the landscape measured {plan.probes} times in each" if plan.probes else ""
    return f"{seeds}; {nouns}{tracked}."


def cost_line(plan: Plan) -> str:
    """Return steps, time and disk space of what is left to do."""
    resumed = plan.steps_left < plan.steps_total
    left = f"{plan.steps_left:,} of {plan.steps_total:,}" if resumed else f"{plan.steps_total:,}"
    steps = f"{left} steps{' left' if resumed else ''}"
    time = [] if plan.seconds is None else [f"about {duration(plan.seconds)}"]
    return f"{', '.join([steps, *time])}, about {plan.size_bytes / 1e6:,.0f} MB on disk."


def done_line(plan: Plan, run: Path, networks: int) -> str:
    """Return what is done of a run before it is resumed.

    Args:
        plan: Of what is left to do.
        run: Its directory.
        networks: Number of networks that are finished.
    """
    steps = plan.steps_total - plan.steps_left
    if not networks and not steps:
        return f"Nothing is done yet in {run}."
    return (
        f"Done in {run}: {networks} of {plan.networks} networks, {steps:,} of "
        f"{plan.steps_total:,} steps."
    )


def _condition_lines(plan: Plan) -> list[str]:
    header = ("network", "seeds", "steps", "steps of its search")
    searched = any(each.searched for each in plan.conditions)
    rows = [
        (each.branch, str(len(each.seeds)), f"{each.steps:,}", f"{each.searched:,}")
        for each in plan.conditions
    ]
    shown = [row if searched else row[:3] for row in (header, *rows)]
    return [f"  {line}" for line in columns(shown)]


def _level_lines(plan: Plan) -> list[str]:
    keys = list(plan.levels[0].counts)
    shown = keys if len(keys) <= _MOST_KEYS else []
    rows = [
        (
            str(number),
            percent(level.density),
            f"{level.remaining:,}",
            *(f"{level.counts[key]:,}" for key in shown),
        )
        for number, level in enumerate(plan.levels)
    ]
    lines = columns([("level", "density", "weights", *shown), *rows])
    if not all(level.exact for level in plan.levels):
        lines.append("These counts are expected; the exact ones depend on the scores.")
    branches = [f"{branch}: levels {ranges(levels)}" for branch, levels in plan.branches.items()]
    return [*(f"  {line}" for line in lines), "", *(f"  {line}" for line in branches)]


class StepClock:
    """An estimate of the time left, by the rate of steps.

    The first steps of a process wait for compilation, so the rate is that since the first
    evaluation. Until there is a second one, the planned time holds; without a plan, a first
    evaluation that took long.

    Args:
        steps_left: Optimizer steps still to do.
        now: Returns seconds.
        planned_seconds: Their estimated time, if there is an estimate.
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
        """Count `steps` more as done."""
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
    """Return the measurements of an evaluation in words, the most important first."""
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
        f"{name} {write(measured[key])}" for key, (name, write) in shown.items() if key in measured
    ]


def outcome(summary: Mapping[str, float]) -> tuple[str, float] | None:
    """Return name and value of a network's test accuracy, or else loss; None if it diverged."""
    if "diverged_step" in summary:
        return None
    for key in ("accuracy_at_early_stop", "accuracy_at_end", "loss_at_end"):
        if key in summary:
            return f"test {key.partition('_')[0]}", summary[key]
    return None


def percent(share: float) -> str:
    """Write a share in percent, with two decimals."""
    return f"{100 * share:.2f} %"


def number(value: float) -> str:
    """Write a loss: four decimals, or none where it is large."""
    return f"{value:.4f}" if abs(value) < 1000 else f"{value:,.0f}"


def written(name: str, value: float) -> str:
    """Write a value of `outcome`."""
    return percent(value) if name.endswith("accuracy") else number(value)


class Part:
    """Progress of networks that train one after the other, in parallel with other parts.

    Args:
        lines: Shows them.
        name: Of their task. Text before its seed is shown, such as the structure of a search.

    Attributes:
        structure: Text before the seed in the name, if any: `structure channel`.
        trial: The network in training.
        density: Share of its prunable weights that are left.
        steps: Number of its steps.
        step: Number of its steps that are done.
    """

    def __init__(self, lines: Lines, name: str = "") -> None:
        self._lines = lines
        before, seed, _ = name.partition(", seed ")
        self.structure = before if seed else ""
        self.trial, self.density = Trial(0, ""), 1.0
        self.steps = self.step = 0

    def plan(self, plan: Plan) -> None:
        """See `Progress`; there is one plan for all parts."""

    def begin(self, trial: Trial, steps: int, density: float) -> None:
        """See `Progress`."""
        self.trial, self.density = trial, density
        self.steps, self.step = steps, 0
        self._lines.show(self, [f"step 0/{steps:,}"])

    def update(self, step: int, measured: Mapping[str, float]) -> None:
        """See `Progress`."""
        self._lines.clock.advance(step - self.step)
        self.step = step
        self._lines.show(self, [f"step {step:,}/{self.steps:,}", *measurements(measured)])

    def end(self, trial: Trial, summary: Mapping[str, float]) -> None:
        """See `Progress`."""
        self.trial = trial
        self._lines.ended(self, summary)

    def message(self, text: str) -> None:
        """See `Progress`."""
        self._lines.say(text)

    def part(self, name: str) -> Part:
        """See `Progress`; parts aren't divided further."""
        return self

    def place(self) -> list[str]:
        """Return the network in training, in words."""
        names = [self.structure] if self.structure else []
        names += [f"seed {self.trial.seed}", f"{self.trial.branch:<{self._lines.width}}"]
        if self._lines.levels:
            names += [f"level {self.trial.level:2d}", f"density {100 * self.density:6.2f} %"]
        return names


class Lines(Part):
    """`tfticket.runs.progress.Progress` as plain lines: each network, and some of its steps.

    Args:
        stream: Where to print.
        now: Returns seconds.
    """

    def __init__(self, stream: IO[str] | None, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__(self)
        self._stream = stream
        self._now = now
        self.clock = StepClock(0, now)
        self.levels, self.width = True, 8
        self._began = self._printed = now()

    def plan(self, plan: Plan) -> None:
        """Show the plan; its title was printed before."""
        self.clock = StepClock(plan.steps_left, self._now, plan.seconds)
        self.levels = plan.rows != "networks"
        if not self.levels:
            self.width = max(len(each.branch) for each in plan.conditions)
        self.say_plan(plan)

    def part(self, name: str) -> Part:
        """Return the progress of one of several networks in training; its lines name it."""
        return Part(self, name)

    @property
    def time_left(self) -> str:
        """The time left in words; empty until there is an estimate."""
        seconds = self.clock.seconds_left
        return "" if seconds is None else f"{duration(seconds)} left"

    def say(self, line: str) -> None:
        """Print a line."""
        print(line, file=self._stream, flush=True)
        self._printed = self._now()

    def say_plan(self, plan: Plan) -> None:
        """Print the plan."""
        for line in plan_lines(plan):
            self.say(line)
        self.say("")

    def show(self, part: Part, words: Sequence[str]) -> None:
        """Print the state of a training, unless something was printed a moment ago."""
        pause = (self._now() - self._began) / 10
        if self._now() - self._printed >= min(max(pause, _LEAST_SECONDS), _MOST_SECONDS):
            self.say("  ".join([*part.place(), *words, self.time_left]).rstrip())

    def ended(self, part: Part, summary: Mapping[str, float]) -> None:
        """Print the result of a network."""
        parts = part.place()
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


@contextlib.contextmanager
def on_stderr(finished: Iterable[FinishedNetwork] = ()) -> Iterator[Lines]:
    """Show progress on stderr until the block ends: live on a terminal, else as lines.

    Args:
        finished: The networks that the run has finished before.
    """
    if not sys.stderr.isatty():
        yield Lines(sys.stderr)
        return
    from tfticket.cli.screen import live_screen

    with live_screen(finished) as screen:
        yield screen
