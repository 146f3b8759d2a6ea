"""Benchmark of a long search: what its last levels cost beside its first.

A search on MNIST as the recipe `lth_mnist` has it: LeNet-300-100, batches of 60, Adam at 1.2e-3,
20 % of the weights a level, by layer, 10,000 steps a network, validation each 100 of them. Of its
20 levels the first five (the dense network and levels 1 to 4) and the last five (16 to 20, of 2.8
to 1.2 % of the weights) are trained, in one `fit`; what lies between comes from a search of 1,000
steps a level, done once. Trace and compilation of the dense network are in the first five levels,
those of the smaller networks in the last. The contenders are parts of the same `fit`.

- `last five levels`, as they are: without dead units.
- `first five levels`.
- `last five levels, whole`: of a search with `compact=False`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache

import keras

from tfticket import data, models
from tfticket.bench.paired import Benchmark
from tfticket.bench.tasks import Time
from tfticket.data import ChunkedFit, DataSet, Feed
from tfticket.lottery import TicketSearch
from tfticket.lottery.trial import FinishedTrial, MemoryStore, Trial, TrialListener, TrialResult
from tfticket.schedules import IterativePruning
from tfticket.sparsity.pruners import LayerwisePruner

_LEVELS, _STEPS, _SHORT, _CHUNK, _PART = 20, 10_000, 1000, 100, 5
_OUTPUT = "output/kernel"


@dataclass
class Clock(TrialListener):
    """Notes how long each level of a search took, in processor and wall time."""

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
        """The sum over some levels."""
        times = [self.levels[level] for level in levels]
        return Time(sum(each.cpu for each in times), sum(each.wall for each in times))


class WholeStore(MemoryStore):
    """Keeps the end of every level."""

    def save(self, finished: FinishedTrial) -> None:
        """See `TrialStore`."""
        ends = dict(self.ends)
        super().save(finished)
        self.ends = {**ends, **self.ends}

    def without(self, levels: Iterable[int]) -> WholeStore:
        """A copy in which some tickets aren't found yet."""
        kept = {key: ticket for key, ticket in self.tickets.items() if key[1] not in levels}
        return WholeStore(dict(self.snapshots), kept, dict(self.ends))


@dataclass
class Searches:
    """Searches whose parts are contenders: each is run once for all parts of a round."""

    sets: DataSet
    levels: int = _LEVELS
    steps: int = _STEPS
    short: int = _SHORT
    told: dict[tuple[bool, str], Time] = field(default_factory=dict)
    found: WholeStore | None = None

    def part(self, name: str, *, compact: bool = True) -> Time:
        """The time of the `first` or `last` five levels of the next search of a kind."""
        first, last = range(_PART), range(self.levels - _PART + 1, self.levels + 1)
        if self.found is None:
            self.found = WholeStore()
            self.run(self.found, self.short)
        if (compact, name) not in self.told:
            store = self.found.without([*first, *last])
            clock = self.run(store, self.steps, compact=compact)
            self.told |= {
                (compact, "first"): clock.part(first),
                (compact, "last"): clock.part(last),
            }
        return self.told.pop((compact, name))

    def run(self, store: MemoryStore, steps: int, *, compact: bool = False) -> Clock:
        """Trains what a store lacks of a search."""
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
        feed = Feed(sets.train, batch_size=60, seed=0, chunk_steps=_CHUNK, scale=sets.scale)
        search = TicketSearch(
            IterativePruning(0.2, self.levels),
            steps,
            pruner=LayerwisePruner({_OUTPUT: 0.5}),
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
            callbacks=[search, ChunkedFit(feed)],
            verbose=0,
        )
        return clock


@cache
def _searches() -> Searches:
    return Searches(data.load("mnist"))


BENCHMARKS = (
    Benchmark(
        "late_levels",
        "the last five of 20 levels of a search with LeNet-300-100 on MNIST",
        {
            "last five levels": lambda: lambda: _searches().part("last"),
            "first five levels": lambda: lambda: _searches().part("first"),
            "last five levels, whole": lambda: lambda: _searches().part("last", compact=False),
        },
        rounds=3,
        goals={"first five levels": 0.7},
        warm_up=False,
    ),
)
