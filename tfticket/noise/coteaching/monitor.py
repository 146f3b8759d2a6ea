"""A callback that watches co-teaching for known failures, and backs off where that helps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import keras
import numpy as np

from tfticket.errors import ModelError
from tfticket.noise.coteaching.metrics import SelectionSummary
from tfticket.noise.coteaching.model import CoTeaching
from tfticket.wording import brief_repr

Kind = Literal["agreement", "starvation", "vanishing_class", "drift", "not_finite"]

_FEW = 20  # samples of a class that say something about its rate


@dataclass(frozen=True)
class CollapseEvent:
    """A failure of the selection in an epoch, and what was done about it.

    Attributes:
        epoch: Counted from 0.
        kind: `agreement`, the networks have become alike and correct nothing; `starvation`,
            steps are left with a single sample; `vanishing_class`, a class is hardly selected any
            more; `drift`, another share is kept than the forget rate says; `not_finite`, losses
            are NaN or infinite.
        value: What was measured.
        limit: What it should not have passed.
        classes: The classes it is about; empty when it is about none.
        action: What was done, in words.
        relief: What the forget rate is multiplied by from now on, in [0, 1].
    """

    epoch: int
    kind: Kind
    value: float
    limit: float
    classes: tuple[int, ...]
    action: str
    relief: float

    __repr__ = brief_repr


class SelectionMonitor(keras.callbacks.Callback):
    """A callback that reports each epoch's selection, and lowers the forget rate when it does harm.

    Adds to the logs of an epoch, for callbacks after it and for the history: `relief`; with
    `per_class` the share kept of each given class, `keep_rate/0` and so on; and when `fit` was
    given true labels, `label_precision` and `label_recall`. True labels never decide anything here.

    Starving steps and vanishing classes make it back off: the forget rate is multiplied by
    `back_off`, which stays in the model and is saved with it. The other events are recorded only:
    forgetting less doesn't help against them.

    Args:
        min_disagreement: Smallest share of samples on which the networks should differ, in [0, 1].
            They also agree when they are both right, so the default only asks that they differ at
            all.
        max_starved: Largest share of steps that may be left with a single sample, in [0, 1].
        min_class_share: Smallest keep rate of a class, as a share of the overall one, in [0, 1].
            Classes with less than 20 samples in the epoch aren't judged.
        max_drift: Largest difference of the share kept from 1 - forget rate, in [0, 1]. Rounding
            to whole samples explains up to one sample a batch.
        back_off: Factor of the forget rate after an event that calls for it, in (0, 1]; 1 only
            watches.
        per_class: Whether to log the keep rate of each class.
        on_event: Called with each event.

    Attributes:
        events: What happened in the last `fit`.
        summaries: The selection of each of its epochs.

    Raises:
        ModelError: when a setting is out of range, or `fit` begins with another kind of model.
    """

    def __repr__(self) -> str:
        return f"SelectionMonitor({len(self.events)} events)"

    def __init__(
        self,
        *,
        min_disagreement: float = 0.001,
        max_starved: float = 0.1,
        min_class_share: float = 0.1,
        max_drift: float = 0.1,
        back_off: float = 0.5,
        per_class: bool = True,
        on_event: Callable[[CollapseEvent], None] | None = None,
    ) -> None:
        super().__init__()
        limits = (min_disagreement, max_starved, min_class_share, max_drift)
        if not all(0 <= limit <= 1 for limit in limits) or not 0 < back_off <= 1:
            raise ModelError(
                "The limits of a monitor must be in [0, 1] and `back_off` in (0, 1]. Received: "
                f"{limits}, back_off={back_off}."
            )
        self.min_disagreement = min_disagreement
        self.max_starved = max_starved
        self.min_class_share = min_class_share
        self.max_drift = max_drift
        self.back_off = back_off
        self.per_class = per_class
        self.on_event = on_event
        self.events: list[CollapseEvent] = []
        self.summaries: list[SelectionSummary] = []

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Begin a new record."""
        if not isinstance(self.model, CoTeaching):
            raise ModelError(
                "A selection can be watched in a `CoTeaching` model only. Received: "
                f"{type(self.model).__name__}."
            )
        self.events, self.summaries = [], []

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Look for failures of the epoch, act, and add to the logs."""
        summary = self.model.selection()
        if summary is None:
            return
        self.summaries.append(summary)
        for kind, value, limit, classes in self._troubles(summary):
            self._handle(epoch, kind, value, limit, classes)
        if logs is not None:
            logs["relief"] = float(self.model.relief.numpy())
            if self.per_class:
                rates = enumerate(summary.class_keep_rate.tolist())
                logs.update({f"keep_rate/{index}": rate for index, rate in rates})
            if summary.label_precision is not None and summary.label_recall is not None:
                logs["label_precision"] = summary.label_precision
                logs["label_recall"] = summary.label_recall

    def _troubles(
        self, summary: SelectionSummary
    ) -> list[tuple[Kind, float, float, tuple[int, ...]]]:
        found: list[tuple[Kind, float, float, tuple[int, ...]]] = []
        if self.model.kind != "values" and summary.disagreement < self.min_disagreement:
            found.append(("agreement", summary.disagreement, self.min_disagreement, ()))
        if summary.starved > self.max_starved:
            found.append(("starvation", summary.starved, self.max_starved, ()))
        limit = self.min_class_share * summary.keep_rate
        known = summary.class_seen >= _FEW
        gone = np.flatnonzero(known & (summary.class_keep_rate < limit))
        if len(gone):
            value = float(summary.class_keep_rate[gone].min())
            found.append(("vanishing_class", value, limit, tuple(gone.tolist())))
        drift = abs(summary.keep_rate - (1 - summary.forget_rate))
        if drift > self.max_drift:
            found.append(("drift", drift, self.max_drift, ()))
        if summary.not_finite:
            found.append(("not_finite", float(summary.not_finite), 0.0, ()))
        return found

    def _handle(
        self, epoch: int, kind: Kind, value: float, limit: float, classes: tuple[int, ...]
    ) -> None:
        relief, action = self.model.relief, _NOTED[kind]
        if kind in ("starvation", "vanishing_class"):
            before = float(relief.numpy())
            relief.assign(before * self.back_off)
            action = (
                f"The forget rate is multiplied by {before * self.back_off:g} from now on, before "
                f"by {before:g}."
                if self.back_off < 1
                else "Nothing was done: `back_off` is 1."
            )
        event = CollapseEvent(epoch, kind, value, limit, classes, action, float(relief.numpy()))
        self.events.append(event)
        if self.on_event is not None:
            self.on_event(event)


_NOTED: dict[str, str] = {
    "agreement": (
        "Nothing was done. The networks learn nothing from each other any more; stop here, or "
        "begin again with update='coteaching_plus' or with more different networks."
    ),
    "drift": (
        "Nothing was done. Class floors, small batches, weights of 0 and back-off change the share "
        "that is kept; see which applies."
    ),
    "not_finite": (
        "Nothing was done beyond never selecting such a sample. Look for inputs that aren't finite "
        "and labels out of range, or lower the learning rate."
    ),
    "starvation": "",
    "vanishing_class": "",
}
