"""Two ways or more to do the same, timed in turns.

Machines are noisy, and the noise comes in phases. So the contenders run one after the other, round
after round, in changing order; what is compared is the ratio within each round, of processor time
as well as of wall time. Memory is measured apart from time, see `tfticket.bench.memory`.
"""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tfticket.bench import memory
from tfticket.bench.tasks import Time, UnavailableError

Task = Callable[[], Time | None]
"""Does the same work each time; tells its time only where it is spent in another process."""
_MEMORY_ROUNDS = 5


@dataclass(frozen=True)
class Benchmark:
    """One comparison.

    Attributes:
        name: What it is called on the command line.
        title: What is compared, in one line.
        contenders: What makes each task, by name: ours first, then what it is held against. Those
            that aren't installed say so by an `UnavailableError`, and the others go on.
        rounds: How often each is run, after one run to warm up.
        before_memory: Makes what runs before memory is counted: a task of the same kind and next to
            no size, so that what any of them needs isn't counted. None: memory isn't measured.
        goals: The largest ratio that we want, by the other's name.
        warm_up: Whether each is run once before it counts; a whole process needn't be.
        goals_of: Which time the goals are of: of whole processes and of several at once, wall time.
    """

    name: str
    title: str
    contenders: Mapping[str, Callable[[], Task]]
    rounds: int
    before_memory: Callable[[], Task] | None = None
    goals: Mapping[str, float] = field(default_factory=dict)
    warm_up: bool = True
    goals_of: Literal["cpu", "wall"] = "cpu"


@dataclass(frozen=True)
class Spread:
    """Median, smallest and largest over the rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of one value or more."""
        return cls(statistics.median(values), min(values), max(values))


Spreads = Mapping[str, Spread]


@dataclass(frozen=True)
class Comparison:
    """What a benchmark gave, by contender; ratios are of ours over each of the others.

    Attributes:
        benchmark: Its name.
        title: Its title.
        rounds: How many rounds.
        cpu_seconds: Processor time of a run.
        wall_seconds: Wall time of a run.
        cpu_ratios: Ratios of processor time.
        wall_ratios: Ratios of wall time.
        memory_bytes: How much the peak of a fresh process rises; empty where it isn't measured.
        memory_ratios: Ratios of these.
        variable_bytes: Size of all Keras variables; empty where memory isn't measured.
        goals: The largest ratio that was wanted.
        goals_of: Of which time.
        absent: Who couldn't take part, and why.
    """

    benchmark: str
    title: str
    rounds: int
    cpu_seconds: Spreads
    wall_seconds: Spreads
    cpu_ratios: Spreads
    wall_ratios: Spreads
    memory_bytes: Spreads
    memory_ratios: Spreads
    variable_bytes: Mapping[str, int]
    goals: Mapping[str, float] = field(default_factory=dict)
    absent: Mapping[str, str] = field(default_factory=dict)
    goals_of: Literal["cpu", "wall"] = "cpu"


def compare(benchmark: Benchmark) -> Comparison:
    """Runs a benchmark; it takes as long as its contenders do."""
    uses = _memory(benchmark)
    with contextlib.ExitStack() as stack:
        tasks, absent = _tasks(benchmark, stack)
        cpu, wall = _times(benchmark, tasks)
    added = {name: [float(use.added_bytes) for use in found] for name, found in uses.items()}
    return Comparison(
        benchmark=benchmark.name,
        title=benchmark.title,
        rounds=benchmark.rounds,
        cpu_seconds=_spreads(cpu),
        wall_seconds=_spreads(wall),
        cpu_ratios=ratios(cpu),
        wall_ratios=ratios(wall),
        memory_bytes=_spreads(added),
        memory_ratios=ratios(added) if added else {},
        variable_bytes={name: found[-1].variable_bytes for name, found in uses.items()},
        goals={name: goal for name, goal in benchmark.goals.items() if name in cpu},
        absent=absent,
        goals_of=benchmark.goals_of,
    )


def ratios(values: Mapping[str, list[float]]) -> Spreads:
    """The spread of the first over each of the others, round by round."""
    (_, ours), *others = values.items()
    return {
        name: Spread.of([a / b for a, b in zip(ours, other, strict=True)]) for name, other in others
    }


def _tasks(
    benchmark: Benchmark, stack: contextlib.ExitStack
) -> tuple[dict[str, Task], dict[str, str]]:
    """Those that can take part, and why others can't; ours must."""
    tasks: dict[str, Task] = {}
    absent: dict[str, str] = {}
    for name, make in benchmark.contenders.items():
        try:
            task: Any = make()
        except UnavailableError as error:
            if not tasks:
                raise
            absent[name] = str(error)
            continue
        if hasattr(task, "close"):
            stack.callback(task.close)
        tasks[name] = task
    return tasks, absent


def _times(
    benchmark: Benchmark, tasks: Mapping[str, Task]
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Processor and wall time of each run, in seconds."""
    if benchmark.warm_up:
        for task in tasks.values():
            task()
    cpu: dict[str, list[float]] = {name: [] for name in tasks}
    wall: dict[str, list[float]] = {name: [] for name in tasks}
    for number in range(benchmark.rounds):
        for name in sorted(tasks, reverse=number % 2 == 1):
            spent = _time(tasks[name])
            cpu[name].append(spent.cpu)
            wall[name].append(spent.wall)
    return cpu, wall


def _time(task: Task) -> Time:
    begun, begun_cpu = time.perf_counter(), time.process_time()
    told = task()
    return told or Time(time.process_time() - begun_cpu, time.perf_counter() - begun)


def _memory(benchmark: Benchmark) -> dict[str, list[memory.Use]]:
    """What each contender needs, in turns; nothing where it isn't measured."""
    if benchmark.before_memory is None or not memory.can_be_measured():
        return {}
    uses: dict[str, list[memory.Use]] = {name: [] for name in benchmark.contenders}
    for _ in range(_MEMORY_ROUNDS):
        for name, found in uses.items():
            found.append(memory.in_fresh_process(benchmark.name, name))
    return uses


def _spreads(values: Mapping[str, list[float]]) -> Spreads:
    return {name: Spread.of(found) for name, found in values.items()}
