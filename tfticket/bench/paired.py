"""Two ways to do the same, timed in turns.

Machines are noisy, and the noise comes in phases. So the contenders run one after the other, round
after round, in changing order; what is compared is the ratio within each round, of processor time
as well as of wall time.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Task = Callable[[], None]


@dataclass(frozen=True)
class Benchmark:
    """One comparison.

    Attributes:
        name: What it is called on the command line.
        title: What is compared, in one line.
        contenders: Makes the two tasks by name, ours first and the one it is held against second.
            A task does the same work each time it is called.
        rounds: How often each is run, after one run to warm up.
    """

    name: str
    title: str
    contenders: Callable[[], Mapping[str, Task]]
    rounds: int


@dataclass(frozen=True)
class Spread:
    """Median, smallest and largest over the rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        """The spread of one value or more."""
        return cls(statistics.median(values), min(values), max(values))

    @classmethod
    def of_ratio(cls, times: Mapping[str, list[float]]) -> Spread:
        """The spread of the first over the second, round by round."""
        ours, other = times.values()
        return cls.of([a / b for a, b in zip(ours, other, strict=True)])


@dataclass(frozen=True)
class Comparison:
    """What a benchmark gave.

    Attributes:
        benchmark: Its name.
        title: Its title.
        cpu_seconds: Processor time of a run, by contender.
        wall_seconds: Wall time of a run, by contender.
        cpu_ratio: Ours over the other, of processor time.
        wall_ratio: The same of wall time.
        rounds: How many rounds.
    """

    benchmark: str
    title: str
    cpu_seconds: Mapping[str, Spread]
    wall_seconds: Mapping[str, Spread]
    cpu_ratio: Spread
    wall_ratio: Spread
    rounds: int


def compare(benchmark: Benchmark) -> Comparison:
    """Runs a benchmark; it takes as long as its contenders do."""
    tasks = benchmark.contenders()
    for task in tasks.values():
        task()
    cpu: dict[str, list[float]] = {name: [] for name in tasks}
    wall: dict[str, list[float]] = {name: [] for name in tasks}
    for number in range(benchmark.rounds):
        for name in sorted(tasks, reverse=number % 2 == 1):
            begun, begun_cpu = time.perf_counter(), time.process_time()
            tasks[name]()
            cpu[name].append(time.process_time() - begun_cpu)
            wall[name].append(time.perf_counter() - begun)
    return Comparison(
        benchmark=benchmark.name,
        title=benchmark.title,
        cpu_seconds={name: Spread.of(values) for name, values in cpu.items()},
        wall_seconds={name: Spread.of(values) for name, values in wall.items()},
        cpu_ratio=Spread.of_ratio(cpu),
        wall_ratio=Spread.of_ratio(wall),
        rounds=benchmark.rounds,
    )
