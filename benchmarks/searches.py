"""Benchmarks of searches for tickets of LeNet-300-100 on MNIST.

`search`, `search_long`: whole processes, from their start to the last ticket written. LeNet-300-100
is trained for an epoch of 1000 steps, 20 % of the weights in hidden layers are pruned, and so on,
until there are as many networks as named. Importing, reading the data, compiling, testing and
writing count too, and wall time is what one waits for. Ours trains with one thread, as the workers
of recipes do; the others with as many as they take. open_lth tests each network twice, which can't
be switched off; the others do it once. Its data lie there as it wants them before it is timed, as
ours lie decoded in the cache.

`late_levels`: what the last levels of a long search cost compared with its first. A search as the
recipe `lth_mnist` has it: batches of 60, Adam at 1.2e-3, 20 % of the weights a level, by layer,
10,000 steps a network, validation each 100 of them. Of its 20 levels the first five (the dense
network and levels 1 to 4) and the last five (16 to 20, of 2.8 to 1.2 % of the weights) are trained
in one `fit`; what lies between comes from a search of 1,000 steps a level, done once. Trace and
compilation of the dense network are in the first five levels, those of the smaller networks in the
last. The contenders are parts of the same `fit`:

- `last five levels`: without dead units, as they are by default;
- `first five levels`;
- `last five levels, whole`: of a search with `compact=False`.

`jobs`: a study on worker processes. Four seeds of a search: batches of 60, Adam at 1.2e-3, the
dense network and four levels of 4,000 steps each. All tasks of the study are timed, from the start
of the first process to the end of the last: imports, traces and what is written to disk as well,
but neither the reading of MNIST nor the export. Wall time counts: the cores do the same work.

- `2 jobs`: two processes of one thread each, as `tfticket recipe run --jobs 2`;
- `1 job`: one such process;
- `this process, all threads`: as `tfticket recipe run --executor serial`.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import keras
import numpy as np

from benchmarks.paired import Benchmark
from benchmarks.steps import need_open_lth
from benchmarks.tasks import Program, Time, UnavailableError, command
from tfticket import data, models
from tfticket.lottery import TicketSearch
from tfticket.lottery.trial import FinishedTrial, MemoryStore, Trial, TrialListener, TrialResult
from tfticket.recipe.parsing import parse
from tfticket.recipe.rates import load_data
from tfticket.runner import Executor, Processes, Serial
from tfticket.runs.progress import Silence
from tfticket.runs.rundir import RunDir
from tfticket.schedules import IterativePruning
from tfticket.sparsity.pruners import LayerwisePruner
from tfticket.studies.study import Study, make_study

_IDX_BYTES = 0x08  # in the third byte of an idx file: the type of its values
_RAW = Path("open_lth_datasets", "mnist", "MNIST", "raw")
_LEVELS, _STEPS, _SHORT, _CHUNK, _PART = 20, 10_000, 1000, 100, 5  # of late_levels


class OpenLthSearch:
    """A search of open_lth in a fresh home, which holds MNIST and nothing to resume from.

    Args:
        networks: Number of networks to train, the dense one among them.
        digits: MNIST.
    """

    def __init__(self, networks: int, digits: data.DataSet) -> None:
        need_open_lth()
        self._folder = tempfile.TemporaryDirectory()
        self._networks = networks
        write_mnist(digits, Path(self._folder.name) / _RAW)

    def __call__(self) -> Time:
        """Search once."""
        with tempfile.TemporaryDirectory() as home:
            datasets = _RAW.parts[0]
            (Path(home) / datasets).symlink_to(Path(self._folder.name) / datasets)
            arguments = ("search", str(self._networks))
            return Program(command("benchmarks.peers.open_lth", *arguments), {"HOME": home})()

    def close(self) -> None:
        """Delete its data."""
        self._folder.cleanup()


def write_mnist(digits: data.DataSet, folder: Path) -> None:
    """Write the four files of MNIST as they were published, but not compressed."""
    folder.mkdir(parents=True)
    for split, prefix in ((digits.train, "train"), (digits.test, "t10k")):
        write_idx(split.x[..., 0], folder / f"{prefix}-images-idx3-ubyte")
        write_idx(split.y.astype(np.uint8), folder / f"{prefix}-labels-idx1-ubyte")


def write_idx(array: np.ndarray, path: Path) -> None:
    """Write bytes of any shape; the format is described at http://yann.lecun.com/exdb/mnist."""
    header = bytes((0, 0, _IDX_BYTES, array.ndim)) + np.array(array.shape, ">u4").tobytes()
    path.write_bytes(header + array.tobytes())


@dataclass
class Clock(TrialListener):
    """Times each level of a search."""

    levels: dict[int, Time] = field(default_factory=dict)

    def begin(self, trial: Trial, density: float) -> None:
        """See `TrialListener`."""
        self._begun = time.process_time(), time.perf_counter()

    def end(self, result: TrialResult) -> None:
        """See `TrialListener`."""
        cpu, wall = self._begun
        self.levels[result.trial.level] = Time(
            time.process_time() - cpu, time.perf_counter() - wall
        )

    def part(self, levels: range) -> Time:
        """Return the sum over some levels."""
        times = [self.levels[level] for level in levels]
        return Time(sum(each.cpu for each in times), sum(each.wall for each in times))


class WholeStore(MemoryStore):
    """A store that keeps the end state of every level."""

    def save(self, finished: FinishedTrial) -> None:
        """See `TrialStore`."""
        ends = dict(self.ends)
        super().save(finished)
        self.ends = {**ends, **self.ends}

    def without(self, levels: Iterable[int]) -> WholeStore:
        """Return a copy that lacks the tickets of some levels."""
        kept = {key: ticket for key, ticket in self.tickets.items() if key[1] not in levels}
        return WholeStore(dict(self.snapshots), kept, dict(self.ends))


@dataclass
class Searches:
    """Searches whose parts are contenders; each runs once for all parts of a round.

    Attributes:
        sets: The data.
        levels: Number of levels after the dense network.
        steps: Steps of each timed network.
        short: Steps of each network between.
        times: Times that no contender has asked for yet, by `compact` and part.
        found: The short search.
    """

    sets: data.DataSet
    levels: int = _LEVELS
    steps: int = _STEPS
    short: int = _SHORT
    times: dict[tuple[bool, str], Time] = field(default_factory=dict)
    found: WholeStore | None = None

    def part(self, name: str, *, compact: bool = True) -> Time:
        """Return the time of the `first` or `last` five levels of the next search."""
        first, last = range(_PART), range(self.levels - _PART + 1, self.levels + 1)
        if self.found is None:
            self.found = WholeStore()
            self.run(self.found, self.short)
        if (compact, name) not in self.times:
            clock = self.run(self.found.without([*first, *last]), self.steps, compact=compact)
            self.times |= {
                (compact, "first"): clock.part(first),
                (compact, "last"): clock.part(last),
            }
        return self.times.pop((compact, name))

    def run(self, store: MemoryStore, steps: int, *, compact: bool = False) -> Clock:
        """Train the networks of a search that its store lacks."""
        keras.backend.clear_session()
        sets, clock = self.sets, Clock()
        model = models.build("lenet_300_100", sets.input_shape, sets.num_classes, seed=0)
        model.compile(
            keras.optimizers.Adam(1.2e-3),
            models.loss_for(model),
            metrics=["accuracy"],
            steps_per_execution=_CHUNK,
            jit_compile=True,
        )
        feed = data.Feed(sets.train, batch_size=60, seed=0, chunk_steps=_CHUNK, scale=sets.scale)
        search = TicketSearch(
            IterativePruning(0.2, self.levels),
            steps,
            pruner=LayerwisePruner({"output/kernel": 0.5}),
            test_data=data.batches(sets.test, scale=sets.scale),
            feed=feed,
            store=store,
            listener=clock,
            compact=compact,
        )
        model.fit(
            **feed.fit_arguments(),
            epochs=search.epochs(steps_per_epoch=_CHUNK),
            validation_data=data.batches(sets.validation, scale=sets.scale),
            callbacks=[search, data.ChunkedFit(feed)],
            verbose=0,
        )
        return clock


@dataclass(frozen=True)
class StudyTask:
    """A study from its first task to its last, in a temporary directory.

    Attributes:
        study: The study.
        executor: Runs its tasks.
    """

    study: Study
    executor: Executor

    def __call__(self) -> Time:
        """Run it; processor time is that of all processes."""
        tasks = self.study.tasks()
        with tempfile.TemporaryDirectory() as folder:
            begun, before = time.perf_counter(), _processor_seconds()
            self.executor.run(self.study, tasks, RunDir(folder), Silence())
            return Time(_processor_seconds() - before, time.perf_counter() - begun)


def study(name: str, *, seeds: int, levels: int, steps: int) -> Study:
    """Return a study of LeNet-300-100.

    Args:
        name: Name of its data set.
        seeds: Number of seeds.
        levels: Levels of each search after the dense network.
        steps: Steps of each network, evaluated four times.
    """
    recipe = parse(
        {
            "name": "jobs",
            "kind": "lottery",
            "title": "Jobs",
            "seeds": list(range(seeds)),
            "data": {"name": name, "batch_size": 60},
            "model": {"name": "lenet_300_100"},
            "train": {
                "optimizer": {"name": "adam"},
                "learning_rate": 1.2e-3,
                "steps": steps,
                "evaluate_every": steps // 4,
            },
            "lottery": {"levels": levels},
        }
    )
    return make_study(recipe, load_data(recipe.data), None)


def _processor_seconds() -> float:
    used = os.times()  # those of child processes are known when they have ended
    return used.user + used.system + used.children_user + used.children_system


def _whole(name: str, networks: int, *, rounds: int, goals: tuple[float, float]) -> Benchmark:
    """Ours against Keras alone and open_lth, in this order in `goals`."""
    others = ("Keras' defaults", "open_lth")

    def ours() -> Program:
        data.load_whole("mnist")  # decoded once, before any contender is timed
        return Program(command("benchmarks.ours", "search", str(networks)))

    return Benchmark(
        name,
        f"a search of {networks} networks on MNIST, LeNet-300-100, one epoch each",
        {
            "TicketSearch": ours,
            others[0]: lambda: Program(command("benchmarks.peers.keras_search", str(networks))),
            others[1]: lambda: OpenLthSearch(networks, data.load_whole("mnist")),
        },
        rounds=rounds,
        goals=dict(zip(others, goals, strict=True)),
        warm_up=False,
        goals_of="wall",
    )


@cache
def _late_searches() -> Searches:
    return Searches(data.load("mnist"))


@cache
def _mnist_study() -> Study:
    return study("mnist", seeds=4, levels=4, steps=4000)


def _processes(jobs: int) -> StudyTask:
    executor = Processes(jobs)
    if executor.jobs < jobs:
        raise UnavailableError(f"{jobs} jobs need {jobs} CPU cores.")
    return StudyTask(_mnist_study(), executor)


BENCHMARKS = (
    _whole("search", 4, rounds=3, goals=(1 / 2, 1 / 3.5)),
    _whole("search_long", 10, rounds=3, goals=(1 / 2.5, 1 / 5)),
    Benchmark(
        "late_levels",
        "the last five of 20 levels of a search with LeNet-300-100 on MNIST",
        {
            "last five levels": lambda: lambda: _late_searches().part("last"),
            "first five levels": lambda: lambda: _late_searches().part("first"),
            "last five levels, whole": lambda: lambda: _late_searches().part("last", compact=False),
        },
        rounds=3,
        goals={"first five levels": 0.7},
        warm_up=False,
    ),
    Benchmark(
        "jobs",
        "a study of 4 seeds with LeNet-300-100 on MNIST",
        {
            "2 jobs": lambda: _processes(2),
            "1 job": lambda: _processes(1),
            "this process, all threads": lambda: StudyTask(_mnist_study(), Serial()),
        },
        rounds=3,
        goals={"1 job": 1 / 1.8},
        warm_up=False,
        goals_of="wall",
    ),
)
