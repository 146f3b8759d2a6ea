"""Measures internal covariate shift along the steps of a running `fit`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfticket.norms.lineage import TrackedLayer, tracked_layers
from tfticket.norms.observer import Observer, When
from tfticket.norms.probe import Probe, inner, norm
from tfticket.norms.shift import ShiftRecord


class ShiftTracker(Observer):
    """Internal covariate shift of chosen layers, as `model.fit` goes on.

        tracker = ShiftTracker(100, layers=["conv5", "conv10"])
        model.fit(x, y, epochs=10, callbacks=[tracker])
        tracker.record.cosine

    What is measured is defined in `tfticket.norms.shift`. The weights after the step come from the
    model's own optimizer. Training isn't changed in one bit. The backward pass of a layer ends at
    that layer, so the whole costs less than a step for each.

    Args:
        when: An interval in steps, a `StepSchedule`, or None for as often as `budget` allows.
        layers: Glob patterns of names; None for all layers that have a kernel and others with
            weights before them.
        batch: `train` for the batch of the step, or a batch of your own: (x, y) or
            (x, y, sample_weight) as arrays.
        budget: Largest share of the time of `fit`, in (0, 1), where `when` is None.
        on_record: Called with a record of one moment after each measurement.
        log_dir: Folder for TensorBoard, or None.
        verbose: 0 is silent, 1 prints the cost when `fit` ends, 2 each measurement as well.

    Raises:
        ModelError: when `fit` begins with a subclassed model, or a pattern fits no layer.
    """

    def __init__(
        self,
        when: When = None,
        *,
        layers: Sequence[str] | None = None,
        batch: Any = "train",
        budget: float = 0.05,
        on_record: Callable[[ShiftRecord], None] | None = None,
        log_dir: str | os.PathLike[str] | None = None,
        verbose: int = 1,
    ) -> None:
        super().__init__(when, batch=batch, budget=budget, log_dir=log_dir, verbose=verbose)
        self.layers = None if layers is None else tuple(layers)
        self.on_record = on_record
        self._moments: list[ShiftRecord] = []
        self._names: tuple[str, ...] = ()
        self._evaluate: Callable[[Any], dict[str, tf.Tensor]] | None = None

    @property
    def record(self) -> ShiftRecord:
        """All measurements of the last `fit`."""
        moments = [moment.to_arrays() for moment in self._moments]
        names = ("l2", "cosine", "gradient_norm")
        none = np.empty((0, len(self._names)))
        joined = {name: np.concatenate([none, *(one[name] for one in moments)]) for name in names}
        return _record([int(one["step"][0]) for one in moments], self._names, **joined)

    def begin(self) -> None:
        """See `Observer`."""
        self._moments = []
        tracked = tracked_layers(self.model, self.layers)
        self._names = tuple(layer.name for layer in tracked)
        self._evaluate = shift_function(self.model, tracked)

    def measure(self, step: int, batch: Any) -> str:
        """See `Observer`."""
        assert self._evaluate is not None
        found = {name: value.numpy().astype(float) for name, value in self._evaluate(batch).items()}
        moment = _record(
            [step], self._names, **{name: value[None] for name, value in found.items()}
        )
        self._moments.append(moment)
        self.write(moment.rows(seed=0, branch="fit", steps_per_epoch=1))
        if self.on_record is not None:
            self.on_record(moment)
        cosines = moment.cosine[np.isfinite(moment.cosine)]
        return f"median cosine {np.median(cosines) if len(cosines) else np.nan:.3f}"

    def release(self) -> None:
        """See `Observer`."""
        self._evaluate = None


def shift_function(
    model: keras.Model, layers: Sequence[TrackedLayer]
) -> Callable[[Any], dict[str, tf.Tensor]]:
    """Compiles the measurement for one model.

    Returns:
        A function of a batch that gives `l2`, `cosine` and `gradient_norm`, each of shape (L,).
    """
    probe = Probe(model)

    @tf.function
    def evaluate(batch: Any) -> dict[str, tf.Tensor]:
        before, after = probe.weights(), probe.after_step(batch)
        _, whole = probe.gradient(before, batch)
        columns: dict[str, list[tf.Tensor]] = {"l2": [], "cosine": [], "gradient_norm": []}
        for layer in layers:
            moved = list(before)
            for place in layer.previous:
                moved[place] = after[place]
            _, shifted = probe.gradient(moved, batch, of=layer.own)
            own = [whole[place] for place in layer.own]
            change = [a - b for a, b in zip(own, shifted, strict=True)]
            columns["l2"].append(norm(change))
            # 0 / 0 is NaN: the angle to a gradient that isn't there.
            columns["cosine"].append(inner(own, shifted) / (norm(own) * norm(shifted)))
            columns["gradient_norm"].append(norm(own))
        return {name: tf.stack(column) for name, column in columns.items()}

    return evaluate


def _record(step: list[int], layers: tuple[str, ...], **columns: np.ndarray) -> ShiftRecord:
    return ShiftRecord(np.array(step, np.int64), np.array(layers, str), **columns)
