"""Two ways or more to do the same, timed in turns.

Machines are noisy, and the noise comes in phases. So the contenders run one after the other, round
after round, in changing order; what is compared is the ratio within each round, of processor time
as well as of wall time. Memory is measured apart from time, in fresh processes.
"""

from __future__ import annotations

import contextlib
import gc
import json
import re
import statistics
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from benchmarks.tasks import Time, UnavailableError, command, environment
from tfticket.errors import TFTicketError
from tfticket.reading import read_json

Task = Callable[[], Time | None]
"""Does the same work at each call; returns its time only when another process measured it."""
_MEMORY_ROUNDS = 5
_STATUS = Path("/proc/self/status")
_OF_RATIO = ("median", "low", "high")


@dataclass(frozen=True)
class Benchmark:
    """A comparison of contenders.

    Attributes:
        name: Its name on the command line.
        title: What is compared, in one line.
        contenders: Name to what makes the task: ours first, then its peers. Peers that aren't
            installed raise an `UnavailableError`, and are left out.
        rounds: How often each runs.
        before_memory: Makes the task that runs before memory is counted: of the same kind and
            nearly no size, so that what all of them need isn't counted. None: memory isn't
            measured.
        goals: Largest ratio to aim at, by peer.
        warm_up: Run each once before it is timed; whole processes need none.
        goals_of: The time that goals are about: wall time where several processes work.
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
    """Median, smallest and largest value over the rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the spread of one value or more."""
        return cls(statistics.median(values), min(values), max(values))


Spreads = Mapping[str, Spread]


@dataclass(frozen=True)
class Comparison:
    """The result of a benchmark, by contender; ratios are ours over each peer.

    Attributes:
        benchmark: Its name.
        title: Its title.
        rounds: Number of rounds.
        cpu_seconds: Processor time of a run.
        wall_seconds: Wall time of a run.
        cpu_ratios: Ratios of processor time.
        wall_ratios: Ratios of wall time.
        memory_bytes: Growth of the peak of a fresh process; empty where it isn't measured.
        memory_ratios: Ratios of these.
        variable_bytes: Size of all Keras variables; empty where memory isn't measured.
        goals: Largest ratio to aim at.
        absent: The peers that couldn't take part, and why.
        goals_of: The time that goals are about.
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
    """Run a benchmark.

    Raises:
        UnavailableError: when our own contender can't take part.
    """
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
    """Return the spread of the first over each of the others, round by round."""
    (_, ours), *others = values.items()
    return {
        name: Spread.of([a / b for a, b in zip(ours, other, strict=True)]) for name, other in others
    }


def _spreads(values: Mapping[str, list[float]]) -> Spreads:
    return {name: Spread.of(found) for name, found in values.items()}


def _tasks(
    benchmark: Benchmark, stack: contextlib.ExitStack
) -> tuple[dict[str, Task], dict[str, str]]:
    """The tasks of those that can take part, and why others can't; ours must."""
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
            spent = Time.of(tasks[name])
            cpu[name].append(spent.cpu)
            wall[name].append(spent.wall)
    return cpu, wall


# Memory. A process that has run something keeps memory for what comes next, so each measurement
# gets a fresh one. `getrusage` is no help: under Linux a process inherits the largest resident
# size of the one that started it. The kernel's own peak of the process is read instead.


@dataclass(frozen=True)
class Memory:
    """The memory that a task needed.

    Attributes:
        baseline_bytes: Peak of the process before the task was made.
        added_bytes: Growth of the peak until the task had run.
        variable_bytes: Size of the Keras variables that it made: weights, optimizer slots,
            metrics, counters.
    """

    baseline_bytes: int
    added_bytes: int
    variable_bytes: int


def can_measure_memory() -> bool:
    """Return whether the system reports the peak of a process; Linux does."""
    return _STATUS.exists()


def memory_in_fresh_process(benchmark: str, contender: str) -> Memory:
    """Measure a contender in a Python process of its own.

    Args:
        benchmark: Name of a benchmark of the catalog that measures memory.
        contender: Name of one of its contenders.

    Raises:
        TFTicketError: when the process fails.
    """
    done = subprocess.run(
        command("benchmarks.catalog", benchmark, contender),
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
    )
    if done.returncode:
        raise TFTicketError(
            f"The process that measures the memory of {contender!r} failed with status "
            f"{done.returncode}, after\n{done.stderr.strip()}"
        )
    return Memory(**json.loads(done.stdout.splitlines()[-1]))


def memory_of(
    make: Callable[[], Callable[[], object]], *, before: Callable[[], Callable[[], object]]
) -> Memory:
    """Make and run two tasks in this process, and return what the second one added.

    Args:
        make: Makes the task that is measured.
        before: Makes the task that runs first and isn't counted.
    """
    warm_up = before()
    warm_up()
    held, baseline = _variable_bytes(), _peak_bytes()
    task = make()
    task()
    return Memory(baseline, _peak_bytes() - baseline, _variable_bytes() - held)


def _peak_bytes() -> int:
    found = re.search(r"VmHWM:\s*(\d+) kB", _STATUS.read_text(encoding="ascii"))
    assert found is not None
    return int(found[1]) * 1024


def _variable_bytes() -> int:
    """Size of all variables that are alive, whatever owns them."""
    import keras

    gc.collect()
    # Not by `isinstance`, which asks objects that import a package to answer.
    alive = [each for each in gc.get_objects() if issubclass(type(each), keras.Variable)]
    return sum(each.value.dtype.size * each.value.shape.num_elements() for each in alive)


def _memory(benchmark: Benchmark) -> dict[str, list[Memory]]:
    """The memory of each contender, measured in turns; empty where it isn't measured."""
    if benchmark.before_memory is None or not can_measure_memory():
        return {}
    uses: dict[str, list[Memory]] = {name: [] for name in benchmark.contenders}
    for _ in range(_MEMORY_ROUNDS):
        for name, found in uses.items():
            found.append(memory_in_fresh_process(benchmark.name, name))
    return uses


# Results of an earlier run, to compare new ones with.


def load_earlier(path: Path) -> dict[str, dict[str, Any]]:
    """Read a file of `python -m benchmarks -o FILE`: results by the name of the benchmark.

    Raises:
        TFTicketError: for a file that holds something else.
    """
    try:
        results = {str(result["benchmark"]): result for result in read_json(path)["results"]}
        for result in results.values():
            for ratio in result.get("cpu_ratios", {}).values():
                if not all(isinstance(ratio[name], int | float) for name in _OF_RATIO):
                    raise TypeError("a ratio isn't a number")
        return results
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise TFTicketError(
            f"{path} isn't a file of results ({type(error).__name__}: {error}). An earlier run "
            "must be a file that `python -m benchmarks -o FILE` wrote."
        ) from error


def changes(result: Comparison, earlier: Mapping[str, Any]) -> Iterator[str]:
    """Describe how the ratios of processor time have changed, a line each.

    Ratios are compared, not seconds: both sides of each were measured in turns, so that another
    machine, or the same one under other load, gives nearly the same. A change within the spread of
    both runs is called none.
    """
    before = earlier.get("cpu_ratios", {})
    for name, now in result.cpu_ratios.items():
        if name not in before:
            yield f"{name}: not measured then"
            continue
        then = before[name]
        verdict = "no difference seen"
        if now.low > then["high"] or now.high < then["low"]:
            verdict = "slower" if now.median > then["median"] else "faster"
        yield f"{name}: CPU ratio {then['median']:.3f} then, {now.median:.3f} now, {verdict}"
