"""`study`: a search for tickets in each of several seeds, and verdicts over them."""

from __future__ import annotations

import contextlib
import inspect
import math
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np

from tfticket.data import ChunkedFit, DataSet, Feed, Split, batches
from tfticket.display.words import percent
from tfticket.errors import DataError, ModelError, RunError
from tfticket.files import digest, read_table, write_json
from tfticket.lottery.controls import Control, as_controls
from tfticket.lottery.measure import scalars
from tfticket.lottery.metric import ACCURACY, Direction, Metric
from tfticket.lottery.over_seeds.criteria import chosen_criteria, chosen_metric
from tfticket.lottery.over_seeds.result import StudyResult, Tickets
from tfticket.lottery.over_seeds.store import RunStore
from tfticket.lottery.search import TicketSearch
from tfticket.lottery.ticket import Ticket
from tfticket.lottery.trial import TICKET, MemoryStore, TrialListener, TrialResult, TrialStore
from tfticket.metrics import Row, read_metrics
from tfticket.quiet import retracing_expected
from tfticket.report.reading import DENSE, by_network
from tfticket.runs.rundir import RunDir
from tfticket.runs.session import locked
from tfticket.schedules import IterativePruning, PruningSchedule
from tfticket.seeds import sub_seed
from tfticket.sparsity.pruner import Pruner
from tfticket.sparsity.pruners import as_pruner
from tfticket.state import prunable_variables
from tfticket.wording import brief

Pair = tuple[Any, Any]

_EVALUATIONS = 20  # of each network, where the steps can be divided so
_SETTINGS = "study.json"


def study(
    build: Callable[..., keras.Model],
    data: DataSet | Sequence[Pair],
    *,
    seeds: int | Iterable[int] = 3,
    controls: Sequence[Control | str] = ("reinit",),
    schedule: PruningSchedule | float = 0.36,
    levels: int = 5,
    steps: int | None = None,
    epochs: int | None = None,
    batch_size: int = 60,
    evaluate_every: int | None = None,
    pruner: Pruner | str = "layerwise",
    rewind_step: int = 0,
    metric: str | None = None,
    direction: Direction | None = None,
    margin: float | None = None,
    margin_is: Literal["absolute", "relative"] | None = None,
    directory: str | os.PathLike[str] | None = None,
    verbose: int = 1,
    **options: Any,
) -> StudyResult:
    """Search for winning tickets in networks of several seeds, and judge them over the seeds.

    For each seed a fresh model is built and searched by one `TicketSearch` in one `fit`; its seed
    decides the initial weights, the order of the data and the controls. From the measurements it is
    the way of `tfticket recipe run`: the same code judges a recipe's run.

    Source: Frankle & Carbin (2019, arXiv:1803.03635); the verdicts are those of `lottery.verdict`.

    Args:
        build: Returns a new, built and compiled Keras model, which reports what it is judged by.
            Keras' random seed is set before. One that takes an argument `seed` gets the seed, for
            initializers that are given one, as in `build(seed)` of `INCV`.
        data: A data set of `tfticket.data`, or pairs of arrays (x, y) for training, validation and
            test. Test data are read only when a network is finished.
        seeds: Number of seeds, from 0, or the seeds. One seed can't tell a ticket from luck.
        controls: Networks that each ticket is held against, by name (`reinit`, `shuffle`, `random`,
            `oneshot`, `aligned`, `signs`, `trained_signs`) or as objects. Without `reinit` a ticket
            can match, but not win.
        schedule: Share of the surviving weights that each level prunes, in (0, 1), or a schedule.
            The default prunes as much as two levels of the paper's 20 %.
        levels: Number of prunings where `schedule` is a share.
        steps: Optimizer steps of each network; instead of `epochs`.
        epochs: Passes over the training data of each network; 20 by default.
        batch_size: Examples in a step.
        evaluate_every: Steps between two evaluations on the validation data, a divisor of the steps
            and of `rewind_step`; by default about a twentieth of the steps.
        pruner: Pruning scope: `layerwise`, `global`, `erk`, or a pruner.
        rewind_step: Step that weights are rewound to; 0 is the original hypothesis.
        metric: What networks are judged by: a name among the model's metrics, or `loss`. By default
            the accuracy, or else the first metric that the model was compiled with.
        direction: `max` where higher is better, `min` where lower is; only needed for metrics of
            your own.
        margin: Loss of the metric that still counts as none: 0.002 of an accuracy or another share,
            and 5 % of the dense networks' mean of other metrics, unless given.
        margin_is: `absolute`, in the unit of the metric, or `relative`, a share of the mean of the
            dense networks; absolute for a `margin` that is given.
        directory: Folder of the study, by which an interrupted one is resumed, and more seeds are
            added to a finished one; None keeps it in memory.
        verbose: 0 is silent, 1 prints a line for each network to stderr.
        **options: Further arguments of `TicketSearch`, such as `score`, `skip` or `log`.

    Returns:
        Levels, verdicts with their intervals, and tickets.

    Raises:
        ValueError: for a setting out of its range, or a name that isn't known.
        DataError: when the data can't be used.
        ModelError: when `build` returns no compiled model, or it doesn't report the metric.
        RunError: when `directory` holds another study, or is written by another process, and for a
            margin out of its range.

    Example:
        >>> from tfticket import data
        >>> def build():
        ...     layers = [keras.layers.Flatten(), keras.layers.Dense(10)]
        ...     model = keras.Sequential([keras.Input((8, 8, 1)), *layers])
        ...     loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        ...     model.compile("adam", loss, metrics=["accuracy"])
        ...     return model
        >>> found = study(build, data.load("digits"), seeds=2, levels=1, steps=20, verbose=0)
        >>> found.seeds, [verdict.level for verdict in found.verdicts], len(found.tickets)
        ((0, 1), [1], 4)

    A regression is judged by its error, of which less is better; gains are positive all the same.

        >>> def build():
        ...     model = keras.Sequential([keras.Input((10,)), keras.layers.Dense(1)])
        ...     model.compile("adam", "mse", metrics=["mean_squared_error"])
        ...     return model
        >>> found = study(build, data.load("friedman1"), levels=1, steps=20, verbose=0)
        >>> found.metric.name, found.metric.direction, len(found.verdicts)
        ('mean_squared_error', 'min', 1)
    """
    plan = _Plan.of(data, steps, epochs, batch_size, evaluate_every, rewind_step)
    chosen = _checked_seeds(seeds)
    settings: dict[str, Any] = {
        "schedule": _schedule(schedule, levels),
        "pruner": as_pruner(pruner),
        "controls": as_controls(controls),
        "rewind_step": rewind_step,
        **options,
    }
    listener = _Printed() if verbose else TrialListener.SILENT
    with _opened(directory) as folder, retracing_expected():
        run = RunDir(folder) if folder is not None else None
        rows: list[Row] = []
        tickets: dict[tuple[int, int], Ticket | Path] = {}
        begun: dict[str, int] = {}
        for seed in chosen:
            store: TrialStore = MemoryStore()
            if run is not None:
                fine_tuning = settings.get("rewind") == "none"
                store = RunStore(run, seed, keep_slots=fine_tuning)
            model = _built(build, seed, plan)
            judged = chosen_metric(_reported(model, plan), metric, direction)
            criteria = chosen_criteria(judged, plan.test.y, margin, margin_is)
            _warn_of_equal_weights(model, seed, begun)
            if run is not None:
                _check_settings(run, model, plan, settings)
            if isinstance(listener, _Printed):
                listener.seed, listener.metric = seed, judged
            search = _searched(model, plan, seed, store, listener, settings)
            found = [t.level for t in search.procedure.trials() if t.branch == TICKET]
            if isinstance(store, MemoryStore):
                rows += store.rows
            for level in found:
                in_file = None if run is None else run.ticket(seed, TICKET, level)
                tickets[seed, level] = in_file or store.ticket(TICKET, level)
        if run is not None:
            run.note_look(chosen)
            looks = run.environment_facts().get("looks", [])
            criteria = replace(criteria, looks=max(1, len(looks)))
            rows = [row for row in read_metrics(run.metrics) if row.seed in chosen]
    results, curves = by_network(rows)
    return StudyResult.of(
        results,
        curves,
        criteria=criteria,
        rewound=settings.get("rewind", "weights") == "weights",
        tickets=Tickets(tickets),
        directory=folder,
    )


@dataclass(frozen=True, eq=False)
class _Plan:
    """Data and lengths of the trainings."""

    train: Split
    validation: Split
    test: Split
    scale: np.ndarray
    offset: np.ndarray
    fingerprint: str
    description: str
    steps: int
    chunk_steps: int
    batch_size: int

    @classmethod
    def of(
        cls,
        data: DataSet | Sequence[Pair],
        steps: int | None,
        epochs: int | None,
        batch_size: int,
        evaluate_every: int | None,
        rewind_step: int,
    ) -> _Plan:
        """Check data and lengths."""
        if isinstance(data, DataSet):
            splits = (data.train, data.validation, data.test)
            scale, offset, fingerprint = data.scale, data.offset, data.fingerprint
            description = data.description
        else:
            splits = _splits(data)
            scale, offset, description = np.ones(()), np.zeros(()), "arrays"
            arrays = {f"{place}/{name}": array for place, split in enumerate(splits)
                      for name, array in (("x", split.x), ("y", split.y))}  # fmt: skip
            fingerprint = digest(arrays)
        if steps is not None and epochs is not None:
            raise ValueError(
                f"Give `steps` or `epochs`, not both. Received: steps={steps}, epochs={epochs}"
            )
        if not 1 <= batch_size <= len(splits[0]):
            raise DataError(
                "`batch_size` must be at least 1 and at most the number of training examples. "
                f"Received: batch_size={batch_size} and {len(splits[0]):,} examples."
            )
        if steps is None:
            steps = (20 if epochs is None else epochs) * (len(splits[0]) // batch_size)
        common = math.gcd(steps, rewind_step)
        if steps < 1 or (evaluate_every is not None and common % evaluate_every):
            raise ValueError(
                "`evaluate_every` must divide the steps of a network, 1 or more, and "
                f"`rewind_step`. Received: evaluate_every={evaluate_every}, {steps} steps, "
                f"rewind_step={rewind_step}; divisors are {_divisors(common)}"
            )
        chunk = evaluate_every or _nearest_divisor(common, steps / _EVALUATIONS)
        return cls(*splits, scale, offset, fingerprint, description, steps, chunk, batch_size)

    def feed(self, seed: int) -> Feed:
        """Return the training data in the order of a seed."""
        return Feed(
            self.train,
            batch_size=self.batch_size,
            seed=seed,
            chunk_steps=self.chunk_steps,
            scale=self.scale,
            offset=self.offset,
        )

    def held_out(self, split: Split) -> Any:
        """Return validation or test data in large batches."""
        return batches(split, scale=self.scale, offset=self.offset)


def _splits(data: Sequence[Pair]) -> tuple[Split, Split, Split]:
    pairs = list(data) if isinstance(data, list | tuple) else []
    two = [isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs]
    if len(pairs) != 3 or not all(two):
        raise DataError(
            "`data` must be a data set of `tfticket.data`, or three pairs of arrays (x, y): "
            f"for training, for validation and for test. Received: {brief(data)}."
        )
    found = []
    for name, (x, y) in zip(("training", "validation", "test"), pairs, strict=True):
        split = Split(_numbers(x, name), _numbers(y, name))
        if not len(split.x) or len(split.x) != len(split.y):
            raise DataError(
                "Each pair of arrays must hold as many targets as inputs, one or more. Received: "
                f"{name} data of {len(split.x)} inputs and {len(split.y)} targets."
            )
        found.append(split)
    return found[0], found[1], found[2]


def _numbers(array: Any, name: str) -> np.ndarray:
    values = np.asarray(array)
    if values.ndim == 0 or values.dtype.kind not in "buif":
        raise DataError(
            f"Inputs and targets must be arrays of numbers. Received: {name} data of shape "
            f"{values.shape} and type {values.dtype}."
        )
    if values.dtype == np.uint8 or values.dtype == np.float32:
        return values
    return values.astype(np.float32 if values.dtype.kind == "f" else np.int64)


def _divisors(number: int) -> list[int]:
    return [each for each in range(1, number + 1) if number % each == 0]


def _nearest_divisor(number: int, wanted: float) -> int:
    return min(_divisors(number), key=lambda each: abs(math.log(each / wanted)))


def _checked_seeds(seeds: int | Iterable[int]) -> tuple[int, ...]:
    chosen = tuple(range(seeds)) if isinstance(seeds, int) else tuple(seeds)
    if not chosen or len(set(chosen)) < len(chosen) or any(s < 0 for s in chosen):
        raise ValueError(
            "`seeds` must be a number of seeds of at least 1, or different seeds from 0 on. "
            f"Received: seeds={seeds!r}"
        )
    return chosen


def _schedule(schedule: PruningSchedule | float, levels: int) -> PruningSchedule:
    if isinstance(schedule, PruningSchedule):
        return schedule
    if isinstance(schedule, bool | str) or not isinstance(schedule, int | float):
        raise TypeError(
            "`schedule` must be the share that each level prunes, such as 0.2, or a schedule of "
            f"`tfticket.schedules`. Received: {brief(schedule)}."
        )
    return IterativePruning(schedule, levels)


def _built(build: Callable[..., keras.Model], seed: int, plan: _Plan) -> keras.Model:
    keras.utils.set_random_seed(sub_seed(seed, "init"))
    model = build(seed) if "seed" in inspect.signature(build).parameters else build()
    if not isinstance(model, keras.Model) or not model.compiled or model.optimizer is None:
        raise ModelError(
            "`build` must return a compiled Keras model. Received: "
            f"{type(model).__name__}{'' if isinstance(model, keras.Model) else ' (no model)'}. "
            "Call `model.compile` in it."
        )
    model.steps_per_execution = plan.chunk_steps
    return model


def _warn_of_equal_weights(model: keras.Model, seed: int, begun: dict[str, int]) -> None:
    """Warn of a network that begins with the weights of another seed's; note its own."""
    weights = {key: v.numpy() for key, v in prunable_variables(model).items()}
    other = begun.setdefault(digest(weights), seed)
    if other != seed:
        warnings.warn(
            f"The networks of seeds {other} and {seed} begin with the same weights, so that seeds "
            "differ in the order of the data alone. If their initializers were given a seed, let "
            "`build` take an argument `seed` and use it.",
            stacklevel=3,
        )


def _reported(model: keras.Model, plan: _Plan) -> list[str]:
    """Return the names that a model reports, by trying it on an example."""
    one = Split(plan.validation.x[:1], plan.validation.y[:1])
    return list(scalars(model.evaluate(plan.held_out(one), verbose=0, return_dict=True)))


def _searched(
    model: keras.Model,
    plan: _Plan,
    seed: int,
    store: TrialStore,
    listener: TrialListener,
    settings: Mapping[str, Any],
) -> TicketSearch:
    feed = plan.feed(seed)
    search = TicketSearch(
        level_steps=plan.steps,
        seed=seed,
        feed=feed,
        store=store,
        test_data=plan.held_out(plan.test),
        validation_data=(validation := plan.held_out(plan.validation)),
        **{
            "listener": listener,
            "provenance": {"data": plan.description, "data_fingerprint": plan.fingerprint},
            **settings,
        },
    )
    if search.pending():
        model.fit(
            **feed.fit_arguments(),
            epochs=search.epochs(steps_per_epoch=feed.chunk_steps),
            validation_data=validation,
            callbacks=[search, ChunkedFit(feed)],
            verbose=0,
        )
    return search


@contextlib.contextmanager
def _opened(directory: str | os.PathLike[str] | None) -> Iterator[Path | None]:
    """Hold the lock of the directory, in which only finished networks have rows."""
    if directory is None:
        yield None
        return
    run = RunDir(directory)
    with locked(run):
        run.drop_unfinished_rows()
        yield run.path


def _check_settings(
    run: RunDir, model: keras.Model, plan: _Plan, settings: Mapping[str, Any]
) -> None:
    """Note what the networks of a directory are made with, or refuse other settings."""
    made = {
        "data": plan.fingerprint,
        "steps": plan.steps,
        "evaluate_every": plan.chunk_steps,
        "batch_size": plan.batch_size,
        "weights": {key: list(v.shape) for key, v in prunable_variables(model).items()},
        "optimizer": type(model.optimizer).__name__,
        **{name: _described(value) for name, value in settings.items() if name not in ("log",)},
    }
    path = run.path / _SETTINGS
    if not path.is_file():
        if run.finished_levels():
            raise RunError(f"{run.path} holds another run. Give the study a directory of its own.")
        write_json(path, made)
        return
    before = read_table(path)
    changed = sorted(name for name in made | before if made.get(name) != before.get(name))
    if changed:
        name = changed[0]
        raise RunError(
            f"{run.path} holds a study with other settings: {', '.join(changed)}. Before: {name}="
            f"{before.get(name)}. Received: {made.get(name)}. Give it another `directory`, or "
            "remove that one."
        )


def _described(value: Any) -> Any:
    """A setting as text that is the same in each process."""
    if isinstance(value, Pruner):
        inside = {name: _described(each) for name, each in vars(value).items()}
        return {"name": type(value).__name__, **inside}
    if isinstance(value, tuple | list):
        return [_described(each) for each in value]
    if isinstance(value, Mapping):
        return {str(key): _described(each) for key, each in value.items()}
    return value if isinstance(value, str | int | float | bool | None) else brief(value)


@dataclass
class _Printed(TrialListener):
    """Prints a line for each finished network to stderr."""

    seed: int = 0
    metric: Metric = ACCURACY

    def end(self, result: TrialResult) -> None:
        """See `TrialListener`."""
        trial, value = result.trial, result.at_early_stop.get(self.metric.name, math.nan)
        dense = (trial.branch, trial.level) == DENSE
        name = "dense" if dense else f"{trial.branch}, level {trial.level}"
        print(
            f"seed {self.seed}, {name}: {percent(result.density)} of the weights, "
            f"{self.metric.label} {self.metric.say(value)}, {result.seconds:.1f} s",
            file=sys.stderr,
        )
