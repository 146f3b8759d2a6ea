"""`TicketSearch`: train, prune, rewind, repeat, inside one plain `model.fit`."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol, runtime_checkable

import keras

from tfticket.display import Displayable
from tfticket.display.charts import Figure
from tfticket.errors import ModelError
from tfticket.internals import given_learning_rate
from tfticket.lottery.compact import Compactor, TakesStandIn
from tfticket.lottery.companions import companions, refuse_unfit
from tfticket.lottery.controls import Control, as_controls
from tfticket.lottery.measure import TrialMeasure, final_values, named_by_split, scalars
from tfticket.lottery.procedure import Procedure, Rewind
from tfticket.lottery.search_results import result_figure, result_rows, result_sentence
from tfticket.lottery.starting import StartingPoints, require_built_optimizers
from tfticket.lottery.step_count import StepCount
from tfticket.lottery.ticket import Ticket
from tfticket.lottery.trial import (
    REWIND,
    TICKET,
    MemoryStore,
    Trial,
    TrialListener,
    TrialResult,
    TrialStore,
)
from tfticket.machine import warn_of_threads
from tfticket.scalars import Log, ScalarLog
from tfticket.schedules import PruningSchedule, early_steps
from tfticket.sparsity.binding import MaskBinding
from tfticket.sparsity.pruner import Pruner
from tfticket.sparsity.pruners import as_pruner
from tfticket.sparsity.saliency import SaliencyScore, as_score
from tfticket.sparsity.scores import WeightScore
from tfticket.state import Snapshot, innermost_optimizer


class Seekable(Protocol):
    """Training data whose order is a function of the step, such as `tfticket.data.Feed`."""

    @property
    def batches_per_epoch(self) -> float:
        """Steps of one pass over the data."""

    def seek(self, step: int) -> None:
        """Set the step of the next batch."""


@runtime_checkable
class Pauses(Protocol):
    """A train function that calls back between the steps of one call, as `data.ChunkedFit`'s."""

    def pause(self, after: Iterable[int], then: Callable[[int], None]) -> None:
        """Call `then` after each of these numbers of steps from now."""


class TicketSearch(keras.callbacks.Callback, Displayable):
    """Callback that searches for lottery tickets in any model that `fit` can train.

    The dense network is trained (level 0); then, level by level, the lowest-scoring weights are
    pruned, the others are rewound to their values at step k, and the network is trained again.
    Controls are trained beside each ticket at its density. All of this is one `fit`, with one trace
    of the training step; when it ends, the model is in the state of the last trained network.

    Every network sees the same learning rates, so they must be a function of the optimizer's
    iterations (a `LearningRateSchedule`), not a callback that counts epochs. The data are the same
    at each level; their order is the same too with a `feed` that can seek.

    Source: Frankle & Carbin (2019, arXiv:1803.03635), section 2, iterative pruning with resetting;
    Frankle et al. (2019, arXiv:1903.01611) for k > 0; Renda et al. (2020, arXiv:2003.02389) for the
    other kinds of rewinding.

    Args:
        schedule: Pruning rate of each level.
        level_steps: Step that each network is trained to, counted from step 0.
        pruner: Pruning scope and structure, as a pruner or by name: `global` (the default: single
            weights of all layers compete), `layerwise` or `erk`.
        score: Score of weights: a function of their initial and final values, a `SaliencyScore`, or
            a name: `magnitude`, `magnitude_increase`, `movement`, `synflow`; None for random
            pruning.
        rewind_step: k; 0 is the original hypothesis.
        rewind: `weights` (and the learning rate), `learning_rate` alone, or `none`, which is
            fine-tuning from the weights and at the learning rate that training ended with.
        optimizer_state: After rewinding to k > 0, `restore` the optimizer's slots of step k, or
            begin with `fresh` ones.
        score_at: Score the weights at the `end` of training, as in the paper, or at `early_stop`.
        controls: Controls to train beside each ticket, as objects or by name: `reinit`, `shuffle`,
            `random`, `oneshot`, `aligned`, `signs`, `trained_signs`.
        control_levels: Levels with controls; all by default. One-shot pruning is trained from
            level 2 on, since at level 1 it is the ticket.
        skip: Glob patterns of keys to leave dense.
        seed: Random seed of the controls.
        recalibrate: Batches of training inputs, of the size used in training. Before each pruned
            network is trained, the moving statistics of batch normalization are recomputed on them;
            by default those of the dense network are kept. A resumed search needs the same batches.
        test_data: A data set, or a tuple (x, y) or (x, y, sample_weight), read only when a network
            is finished. Without it, results hold the metrics on the validation data.
        validation_data: The validation data of `fit`, as a data set or a tuple (x, y): evaluated
            within the first epochs too, at the steps of `schedules.early_steps`. Without it, there
            is no measurement before the end of the first epoch.
        feed: The training data, if they can seek to a step.
        store: Store of finished networks; one on disk makes the search resumable.
        listener: Receiver of progress events.
        provenance: Values for each ticket's `provenance`; any that JSON can hold.
        compact: Whether to train late networks without their dead units, where that saves time and
            changes nothing but the order in which floats are added; see `tfticket.lottery.compact`.
            It needs `data.ChunkedFit` after the search.
        log_dir: Folder for TensorBoard, a run for each network; or None.
        log: Called with metrics by name and `step=`, as `wandb.log` and `mlflow.log_metrics` are;
            names begin with the network, such as `ticket_level_01/validation/loss`, and steps go on
            from network to network.

    Raises:
        ValueError: when the settings contradict one another, or a name isn't known.
        TypeError: for a setting of another type.
        ModelError: when epochs of `fit` don't end at `rewind_step` and `level_steps`; when an epoch
            makes fewer steps than it should; when training changes state that can't be rewound; for
            callbacks that a search can't be combined with.
        MaskError: when `fit` begins and the pruner can't follow the schedule to its end.

    An unfinished search resumes when it is passed to `fit` again. At the end of each epoch, the
    model is the network whose metrics are logged, so that `ModelCheckpoint` and other callbacks may
    stand before or after the search.

    Example:
        >>> from tfticket.schedules import IterativePruning
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5)])
        >>> model.compile("sgd", "mse")
        >>> x, y = np.ones((8, 4)), np.ones((8, 5))
        >>> search = TicketSearch(IterativePruning(0.5, levels=1), level_steps=2)
        >>> epochs = search.epochs(steps_per_epoch=2)
        >>> history = model.fit(x, y, batch_size=4, epochs=epochs, callbacks=[search], verbose=0)
        >>> [ticket.mask.kept for ticket in search.tickets]
        [20, 10]
    """

    def __init__(
        self,
        schedule: PruningSchedule,
        level_steps: int,
        *,
        pruner: Pruner | str = "global",
        score: WeightScore | SaliencyScore | str | None = "magnitude",
        rewind_step: int = 0,
        rewind: Rewind = "weights",
        optimizer_state: Literal["restore", "fresh"] = "restore",
        score_at: Literal["end", "early_stop"] = "end",
        controls: Sequence[Control | str] = (),
        control_levels: Sequence[int] | None = None,
        skip: Sequence[str] = (),
        seed: int = 0,
        recalibrate: Sequence[Any] | None = None,
        test_data: Any = None,
        validation_data: Any = None,
        feed: Seekable | None = None,
        store: TrialStore | None = None,
        listener: TrialListener | None = None,
        provenance: Mapping[str, Any] | None = None,
        compact: bool = True,
        log_dir: str | os.PathLike[str] | None = None,
        log: Log | None = None,
    ) -> None:
        super().__init__()
        self.procedure = Procedure(
            schedule=schedule,
            level_steps=level_steps,
            pruner=as_pruner("global" if pruner is None else pruner),
            score=as_score(score),
            rewind_step=rewind_step,
            rewind=rewind,
            optimizer_state=optimizer_state,
            score_at=score_at,
            controls=as_controls(controls),
            control_levels=control_levels,
            seed=seed,
        )
        self.skip = tuple(skip)
        self.recalibrate = recalibrate
        self.test_data = test_data
        self.validation_data = validation_data
        self.feed = feed
        self.store = store or MemoryStore()
        self.listener = listener or TrialListener.SILENT
        self.provenance = dict(provenance or {})
        self.compact = compact
        self.results: list[TrialResult] = []
        self._binding: MaskBinding | None = None
        self._starts: StartingPoints | None = None
        self._measure: TrialMeasure | None = None
        self._compactor: Compactor | None = None
        self._early: list[int] = []
        self._steps = StepCount()
        self._log = ScalarLog(log_dir, log)

    def __repr__(self) -> str:
        trials, pending = len(self.procedure.trials()), len(self.pending())
        return f"TicketSearch({self.procedure.schedule}, {trials - pending} of {trials} networks)"

    def summary(self) -> str:
        """Return how accurate the dense network and the sparsest ticket are, in a sentence."""
        return result_sentence(self.results, len(self.pending()))

    def to_rows(self) -> list[dict[str, Any]]:
        """Return a row for each network that this search trained; see `TrialResult`."""
        return result_rows(self.results)

    def _figure(self) -> Figure | None:
        return result_figure(self.results)

    @property
    def tickets(self) -> list[Ticket]:
        """Finished tickets by level; level 0 is the dense network."""
        trials = [trial for trial in self.procedure.trials() if trial.branch == TICKET]
        return [self.store.ticket(TICKET, t.level) for t in trials if self.store.is_finished(t)]

    def pending(self) -> list[Trial]:
        """List the unfinished trials in the order of training."""
        return [t for t in self.procedure.trials() if not self.store.is_finished(t)]

    def epochs(self, *, steps_per_epoch: int) -> int:
        """Return how many epochs `fit` needs for all unfinished trials."""
        self.procedure.check_epochs(steps_per_epoch)
        return sum(trial.steps for trial in self.pending()) // steps_per_epoch

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Bind the masks; the first unfinished trial begins with the first epoch."""
        self._release()  # of a `fit` that was interrupted
        refuse_unfit(companions())
        require_built_optimizers(self.model)
        steps = self.params.get("steps")
        if not steps:
            raise ModelError(
                "A search needs the number of steps of an epoch. Give `fit` `steps_per_epoch`, or "
                "data of known length."
            )
        self.procedure.check_epochs(steps)
        self._batches_per_epoch = self.feed.batches_per_epoch if self.feed else float(steps)
        self._queue = self.pending()
        self._steps = StepCount()
        if not self._queue and self.params["epochs"]:
            raise ModelError(
                "Nothing is left to train: every network of this search is finished. Use its "
                "`tickets`; to search anew, make another `TicketSearch` with a store of its own."
            )
        with self._released_on_error():
            self._binding = MaskBinding(self.model, self.skip)
            if not self.store.is_finished(self.procedure.ticket(0)):
                self.procedure.check_sparsity(self._binding.shapes)
            self._starts = StartingPoints(
                self.procedure, self.model, self.store, self._binding, self.recalibrate
            )
            self._compactor = Compactor(self.model) if self.compact else None

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Begin the next trial if the last one is finished, and schedule early evaluations."""
        if self._binding is None:
            return
        with self._released_on_error():
            if self._measure is None:
                self._begin_next()
            self._steps.begin_epoch(self.model)
        measure, train = self._measure, self.model.train_function
        if not isinstance(train, Pauses):
            if epoch == 0:
                planned = self.params["steps"] * self.params["epochs"]
                warn_of_threads(self.model, planned, chunked=False)
        elif measure is not None:
            after = [step - measure.step for step in self._early]
            train.pause(after, lambda made: self._evaluate_early(measure.step + made))

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Evaluate early in training, at the first call that ends at or after a scheduled step."""
        self._steps.executed = batch + 1
        if self._measure is not None and batch + 1 < self.params["steps"]:
            self._evaluate_early(self._measure.step + batch + 1)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Measure, take the rewind snapshot, and finish a trial that made its steps."""
        if self._measure is None or self._binding is None:
            return
        measure, trial = self._measure, self._measure.trial
        with self._released_on_error():
            self._steps.check(self.model, self.params["steps"])
            metrics = scalars(logs or {})
            step = measure.record(self.model, self.params["steps"], metrics)
            self._early = [early for early in self._early if early > step]
            self._binding.check()
            self._check_learning_rate()
            self.listener.update(trial, step, metrics)
            self._write(trial, step, named_by_split(metrics))
            if step == self.procedure.rewind_step and trial == self.procedure.ticket(0):
                self.store.save_snapshot(REWIND, Snapshot.capture(self.model, step=step))
            if step == trial.stop_step:
                self._finish(measure)
                self.model.stop_training |= not self._queue

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Release the model, and warn of unfinished trials."""
        self._log.close()
        bound = self._binding is not None
        self._release()
        pending = len(self.pending())
        if bound and pending:
            warnings.warn(
                f"`fit` ended with {pending} of {len(self.procedure.trials())} networks of the "
                "search still to train. Give the same search to `fit` again, with "
                f"epochs=search.epochs(steps_per_epoch={self.params['steps']}), to go on.",
                stacklevel=2,
            )

    @contextlib.contextmanager
    def _released_on_error(self) -> Iterator[None]:
        """Keras doesn't call `on_train_end` then."""
        try:
            yield
        except BaseException:
            self._release()
            raise

    def _release(self) -> None:
        if self._binding is not None:
            self._binding.release()
        self._binding = self._starts = self._measure = self._compactor = None

    def _begin_next(self) -> None:
        if self._starts is None or not self._queue:
            return
        trial = self._queue.pop(0)
        start = self._starts.take(trial)
        if self.feed is not None:
            self.feed.seek(trial.start_step)
        self._learning_rate = _constant_learning_rate(self.model)
        self._measure = TrialMeasure(
            trial, start, seed=self.procedure.seed, batches_per_epoch=self._batches_per_epoch
        )
        self._early = []
        if self.validation_data is not None:
            steps = early_steps(self.params["steps"])
            self._early = [step for step in steps if trial.start_step < step < trial.stop_step]
        train = self.model.train_function
        if isinstance(train, TakesStandIn):
            smaller = (
                None
                if self._compactor is None
                else self._compactor.compact(start.mask, trial.steps)
            )
            train.stand_in(smaller)
        self.listener.begin(trial, start.mask.density)

    def _finish(self, measure: TrialMeasure) -> None:
        finished = measure.finish(
            self.model,
            evaluate=None if self.test_data is None else lambda: self._evaluate(self.test_data),
            score_at=self.procedure.score_at,
            provenance={
                **self.provenance,
                "seed": self.procedure.seed,
                "branch": measure.trial.branch,
            },
        )
        self._measure = None
        self.store.save(finished)
        self.results.append(finished.result)
        self._write(finished.result.trial, measure.step, final_values(finished.result))
        self.listener.end(finished.result)

    def _write(self, trial: Trial, step: int, values: Mapping[str, float]) -> None:
        """Write to the logs; steps of all networks rise, those of the ones before included."""
        if not self._log:
            return
        trials = self.procedure.trials()
        before = sum(each.steps for each in trials[: trials.index(trial)])
        run = f"{trial.branch}_level_{trial.level:02d}"
        self._log.write(values, step, run=run, step_of_all=before + step - trial.start_step)

    def _evaluate_early(self, step: int) -> None:
        """Evaluate at `step` if an evaluation is due, without a trace in the epoch's metrics."""
        due = [early for early in self._early if early <= step]
        if not due or self._measure is None:
            return
        self._early = self._early[len(due) :]
        variables = self.model.metrics_variables
        kept = [keras.ops.convert_to_numpy(variable) for variable in variables]
        found = self._evaluate(self.validation_data)
        self._measure.record_validation(self.model, step, found)
        values = {f"validation/{name}": value for name, value in found.items()}
        self._write(self._measure.trial, step, values)
        for variable, value in zip(variables, kept, strict=True):
            variable.assign(value)

    def _evaluate(self, data: Any) -> dict[str, float]:
        x, y, weight = data, None, None
        if isinstance(data, tuple):
            x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
        return scalars(self.model.evaluate(x, y, sample_weight=weight, verbose=0, return_dict=True))

    def _check_learning_rate(self) -> None:
        if self._learning_rate != _constant_learning_rate(self.model):
            raise ModelError(
                "Each network of a search must see the same learning rates. Something changed the "
                "optimizer's learning rate during `fit`; instead of a callback use a "
                "`keras.optimizers.schedules.LearningRateSchedule`, which is rewound with the rest."
            )


def _constant_learning_rate(model: keras.Model) -> float | None:
    """Return the learning rate, or None when it follows a schedule of iterations."""
    optimizer = innermost_optimizer(model)
    # Converted by Keras: under a strategy of several devices it is a variable of each.
    schedule = keras.optimizers.schedules.LearningRateSchedule
    if isinstance(given_learning_rate(optimizer), schedule):
        return None
    return float(keras.ops.convert_to_numpy(optimizer.learning_rate))
