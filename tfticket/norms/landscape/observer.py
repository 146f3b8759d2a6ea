"""The base of the trackers: when to measure, on which batch, and at what cost."""

from __future__ import annotations

import os
import time
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import keras
import tensorflow as tf

from tfticket.display.words import plural
from tfticket.errors import ModelError
from tfticket.internals import build_by_batch, print_msg
from tfticket.norms.landscape.records import Record
from tfticket.norms.landscape.tap import look_at_next_batch
from tfticket.scalars import Log, ScalarLog
from tfticket.schedules import Every, StepSchedule

When = StepSchedule | int | None
R = TypeVar("R", bound=Record)

_RESERVED = 0.2  # of a budget, for what can't be seen from inside: cold caches, memory, noise


@dataclass(frozen=True)
class Cost:
    """Cost of the measurements of one `fit`.

    Attributes:
        measurements: Their number.
        seconds: Time of all of them, including tracing and the slower feeding of the batches of
            an execution that was looked at.
        first_seconds: Time of the first, which traces the function.
        share: Share of the time of the whole `fit` so far, in [0, 1].
    """

    measurements: int = 0
    seconds: float = 0.0
    first_seconds: float = 0.0
    share: float = 0.0

    def __str__(self) -> str:
        return (
            f"{self.measurements} measurements in {self.seconds:.1f} s, {self.share:.1%} of the "
            "time"
        )


class Observer(keras.callbacks.Callback, Generic[R]):
    """Abstract base of callbacks that measure at some steps and leave no trace.

    A measurement belongs to the step that comes next: it sees the weights, the batch and the seeds
    that this step will see. With `steps_per_execution` above 1 it is made at the first step of the
    execution in which one was due.

    Without `when`, the first measurement is always made; each of the following waits until four
    fifths of the budget pay for it: the rest is for costs that can't be seen from inside. Which
    steps are measured then depends on the machine; what is trained never does. For the arguments
    see `LandscapeTracker`.
    """

    def __init__(
        self,
        when: When,
        *,
        batch: Any,
        budget: float,
        on_record: Callable[[R], None] | None,
        log_dir: str | os.PathLike[str] | None,
        log: Log | None,
        verbose: int,
    ) -> None:
        super().__init__()
        if not 0 < budget < 1:
            raise ValueError(f"`budget` must be a share in (0, 1). Received: budget={budget}")
        if isinstance(batch, str) and batch != "train":
            raise ValueError(
                "`batch` must be 'train' or a batch of your own, (x, y) or (x, y, sample_weight). "
                f"Received: batch={batch!r}"
            )
        self.when = Every(when) if isinstance(when, int) else when
        self.budget = budget
        self.on_record = on_record
        self.log_dir = log_dir
        self._log = ScalarLog(log_dir, log)
        self.verbose = verbose
        self._moments: list[R] = []
        self._evaluate: Callable[..., dict[str, Any]] | None = None
        self._batch = batch
        self._begun = 0.0
        self._step = 0
        self._first_of_execution = 0
        self._seconds: list[float] = []
        self._observed = False
        self._execution_begun = 0.0
        self._usual: float | None = None

    def __repr__(self) -> str:
        when = self.when or f"budget={self.budget}"
        return f"{type(self).__name__}({when}, {plural(len(self._moments), 'moment')})"

    @property
    def cost(self) -> Cost:
        """Cost of the measurements of the current or last `fit`."""
        if not self._seconds:
            return Cost()
        total = sum(self._seconds)
        elapsed = time.perf_counter() - self._begun
        return Cost(len(self._seconds), total, self._seconds[0], total / elapsed)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Forget an earlier `fit`, and build the measurement."""
        if not self.model.compiled or self.model.optimizer is None:
            raise ModelError("A model must be compiled with an optimizer to be measured.")
        self._begun, self._seconds, self._moments = time.perf_counter(), [], []
        self._observed, self._usual = False, None
        self._evaluate = self.measurement()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Read the step off the optimizer, which another callback may have rewound."""
        self._step = int(self.model.optimizer.iterations.numpy())

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Measure if it is time to."""
        self._first_of_execution = batch
        self._execution_begun = time.perf_counter()
        if not self._due():
            return
        if isinstance(self._batch, str):
            look_at_next_batch(self.model, self._observe)
        else:
            self._observe(keras.tree.map_structure(tf.convert_to_tensor, self._batch))

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Count steps, and the cost of a measurement beyond its own time."""
        self._step += batch - self._first_of_execution + 1
        took = time.perf_counter() - self._execution_begun
        if not self._observed:
            self._usual = took
        elif self._usual is not None:
            # Batches that were looked at come by a longer way, all those of the execution.
            self._seconds[-1] = max(self._seconds[-1], took - self._usual)
        self._observed = False

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Keep the results and release the model."""
        self._evaluate = None
        self._log.close()
        if self.verbose:
            print_msg(f"{type(self).__name__}: {self.cost}.")

    @abstractmethod
    def measurement(self) -> Callable[..., dict[str, Any]]:
        """Build the compiled measurement for `self.model`."""

    @abstractmethod
    def measure(self, step: int, batch: Any) -> R:
        """Measure at one step, by `self._evaluate`."""

    @abstractmethod
    def described(self, moment: R) -> str:
        """Describe a measurement in one line to print."""

    def _due(self) -> bool:
        if self.when is not None:
            execution = range(self._step, self._step + self.model.steps_per_execution)
            return self.when.first_due(execution) is not None
        if not self._seconds:
            return True
        spent = sum(self._seconds)
        training = time.perf_counter() - self._begun - spent
        return spent + self._seconds[-1] <= (1 - _RESERVED) * self.budget * training

    def _observe(self, batch: Any) -> None:
        start = time.perf_counter()
        if not self._seconds:
            # Keras makes a model's metrics when it is first trained. Were that inside a
            # measurement, what it counts would stay in them.
            build_by_batch(self.model, batch)
        moment = self.measure(self._step, batch)
        self._moments.append(moment)
        if self._log:
            rows = moment.rows(seed=0, branch="fit", steps_per_epoch=1)
            self._log.write({f"{row.split}/{row.name}": row.value for row in rows}, self._step)
        if self.on_record is not None:
            self.on_record(moment)
        self._seconds.append(time.perf_counter() - start)
        self._observed = True
        if self.verbose > 1:
            print_msg(f"\nstep {self._step}: {self.described(moment)}")
