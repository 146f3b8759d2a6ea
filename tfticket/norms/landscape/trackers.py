"""Callbacks that measure the loss landscape and covariate shift along a running `fit`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from tfticket.norms.landscape.lineage import TrackedLayer, tracked_layers
from tfticket.norms.landscape.observer import Observer, When
from tfticket.norms.landscape.probe import Probe, inner, norm
from tfticket.norms.landscape.records import ShiftRecord, SmoothnessRecord
from tfticket.scalars import Log
from tfticket.state import innermost_optimizer

MULTIPLIERS = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0)
"""Half to four times the learning rate: the range of the paper's VGG, appendix A.2.2."""


class LandscapeTracker(Observer[SmoothnessRecord]):
    """Callback that measures loss band, gradient predictiveness and effective beta.

    They are defined in `tfticket.norms.landscape.records`. Training stays bit-identical, which
    `assert_no_trace` proves. A measurement costs about as much as `len(multipliers) + 1` steps.

    Args:
        when: An interval in steps, a `StepSchedule`, or None for as often as `budget` allows.
        multipliers: Points along the direction, above 0, in units of the step.
        direction: `gradient` for -(learning rate) * gradient, as in the paper, whatever the
            optimizer; `update` for the step that the model's optimizer is about to make, with
            momentum, scaling, clipping and decay.
        batch: `train` for the batch of the step, or a batch of your own: (x, y) or
            (x, y, sample_weight) as arrays.
        budget: Largest share of the time of `fit`, in (0, 1), where `when` is None.
        on_record: Called with a record of one moment after each measurement.
        log_dir: Folder for TensorBoard, or None.
        log: Called with the row of a moment, name to value, and `step=`, as `wandb.log` and
            `mlflow.log_metrics` are.
        verbose: 0 is silent, 1 prints the cost when `fit` ends, 2 each measurement as well.

    Raises:
        ValueError: for an argument out of its range.
        ModelError: when `fit` begins with a model that can't be probed.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> tracker = LandscapeTracker(2, multipliers=[0.5, 1.0], verbose=0)
        >>> x, y = np.ones((6, 4)), np.ones((6, 1))
        >>> _ = model.fit(x, y, batch_size=1, callbacks=[tracker], verbose=0)
        >>> tracker.record.step, tracker.record.effective_beta.shape
        (array([0, 2, 4]), (3,))
    """

    def __init__(
        self,
        when: When = None,
        *,
        multipliers: Sequence[float] = MULTIPLIERS,
        direction: Literal["gradient", "update"] = "gradient",
        batch: Any = "train",
        budget: float = 0.05,
        on_record: Callable[[SmoothnessRecord], None] | None = None,
        log_dir: str | os.PathLike[str] | None = None,
        log: Log | None = None,
        verbose: int = 1,
    ) -> None:
        super().__init__(
            when,
            batch=batch,
            budget=budget,
            on_record=on_record,
            log_dir=log_dir,
            log=log,
            verbose=verbose,
        )
        self.multipliers = np.asarray(multipliers, np.float64)
        k = self.multipliers
        if k.ndim != 1 or not len(k) or k[0] <= 0 or np.any(np.diff(k) <= 0):
            raise ValueError(
                "`multipliers` must be numbers above 0, one or more, each larger than the one "
                f"before. Received: multipliers={list(multipliers)}"
            )
        if direction not in ("gradient", "update"):
            raise ValueError(
                f"`direction` must be 'gradient' or 'update'. Received: direction={direction!r}"
            )
        self.direction = direction

    @property
    def record(self) -> SmoothnessRecord:
        """All measurements of the last `fit`."""
        return SmoothnessRecord.joined(self._moments, self.multipliers)

    def measurement(self) -> Callable[..., dict[str, tf.Tensor]]:
        """See `Observer`."""
        return landscape_function(self.model, self.direction)

    def measure(self, step: int, batch: Any) -> SmoothnessRecord:
        """See `Observer`."""
        assert self._evaluate is not None
        rate = float(keras.ops.convert_to_numpy(innermost_optimizer(self.model).learning_rate))
        found = self._evaluate(batch, rate, tf.constant(self.multipliers))
        return SmoothnessRecord(
            step=np.array([step], np.int64),
            learning_rate=np.array([rate]),
            multipliers=self.multipliers,
            **{name: value.numpy().astype(np.float64)[None] for name, value in found.items()},
        )

    def described(self, moment: SmoothnessRecord) -> str:
        """See `Observer`."""
        return (
            f"beta {moment.effective_beta[0]:.3g}{' (saturated)' if moment.saturated[0] else ''}, "
            f"gradient change up to {moment.gradient_predictiveness[0, 1]:.3g}, "
            f"lr * sharpness / 2 = {moment.gauge[0]:.2f}"
        )


class ShiftTracker(Observer[ShiftRecord]):
    """Callback that measures the internal covariate shift of chosen layers.

    It is defined in `tfticket.norms.landscape.records`. The weights after the step are those of the
    model's own optimizer; training stays bit-identical. The backward pass of a layer ends at that
    layer, so a measurement costs less than a step for each layer.

    Args:
        when: An interval in steps, a `StepSchedule`, or None for as often as `budget` allows.
        layers: Glob patterns of names; None for all layers that have a kernel and others with
            weights before them.
        batch: `train` for the batch of the step, or a batch of your own: (x, y) or
            (x, y, sample_weight) as arrays.
        budget: Largest share of the time of `fit`, in (0, 1), where `when` is None.
        on_record: Called with a record of one moment after each measurement.
        log_dir: Folder for TensorBoard, or None.
        log: Called with the row of a moment, name to value, and `step=`, as `wandb.log` and
            `mlflow.log_metrics` are.
        verbose: 0 is silent, 1 prints the cost when `fit` ends, 2 each measurement as well.

    Raises:
        ValueError: for an argument out of its range.
        ModelError: when `fit` begins with a subclassed model, or a pattern fits no layer.

    Example:
        >>> layers = [keras.layers.Dense(3, name="a"), keras.layers.Dense(1, name="b")]
        >>> model = keras.Sequential([keras.Input((4,)), *layers])
        >>> model.compile("sgd", "mse")
        >>> tracker = ShiftTracker(1, verbose=0)
        >>> _ = model.fit(np.ones((6, 4)), np.ones((6, 1)), callbacks=[tracker], verbose=0)
        >>> tracker.record.layers, tracker.record.cosine.shape
        (array(['b'], dtype='<U1'), (1, 1))
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
        log: Log | None = None,
        verbose: int = 1,
    ) -> None:
        super().__init__(
            when,
            batch=batch,
            budget=budget,
            on_record=on_record,
            log_dir=log_dir,
            log=log,
            verbose=verbose,
        )
        self.layers = None if layers is None else tuple(layers)
        self._names = np.array([], str)

    @property
    def record(self) -> ShiftRecord:
        """All measurements of the last `fit`."""
        return ShiftRecord.joined(self._moments, self._names)

    def measurement(self) -> Callable[..., dict[str, tf.Tensor]]:
        """See `Observer`."""
        tracked = tracked_layers(self.model, self.layers)
        self._names = np.array([layer.name for layer in tracked], str)
        return shift_function(self.model, tracked)

    def measure(self, step: int, batch: Any) -> ShiftRecord:
        """See `Observer`."""
        assert self._evaluate is not None
        found = self._evaluate(batch)
        arrays = {name: value.numpy().astype(np.float64)[None] for name, value in found.items()}
        return ShiftRecord(np.array([step], np.int64), self._names, **arrays)

    def described(self, moment: ShiftRecord) -> str:
        """See `Observer`."""
        cosines = moment.cosine[np.isfinite(moment.cosine)]
        return f"median cosine {np.median(cosines) if len(cosines) else np.nan:.3f}"


def landscape_function(
    model: keras.Model, direction: Literal["gradient", "update"]
) -> Callable[..., dict[str, tf.Tensor]]:
    """Compile the measurement of the landscape for one model.

    Returns:
        A function of a batch, the learning rate and the multipliers, shape (K,). It gives the
        fields of `SmoothnessRecord` for one moment by name: scalars, and arrays of shape (K,).
    """
    probe = Probe(model)

    def evaluate(batch: Any, rate: Any, multipliers: tf.Tensor) -> dict[str, tf.Tensor]:
        weights = probe.weights()
        if direction == "update":
            updated = probe.after_step(batch)
            d = [after - before for after, before in zip(updated, weights, strict=True)]
            loss, g0 = probe.gradient(weights, batch)
        else:
            loss, g0 = probe.gradient(weights, batch)
            d = [-tf.cast(rate, g.dtype) * g for g in g0]
        kind = loss.dtype
        length = norm(d)

        def at(multiplier: tf.Tensor) -> dict[str, tf.Tensor]:
            k = tf.cast(multiplier, kind)
            moved = [w + k * step for w, step in zip(weights, d, strict=True)]
            loss_k, g_k = probe.gradient(moved, batch)
            change = [a - b for a, b in zip(g_k, g0, strict=True)]
            return {
                "losses": loss_k,
                "gradient_norms": norm(g_k),
                "gradient_change": norm(change),
                "curvature": tf.math.divide_no_nan(inner(change, d), k * length**2),
            }

        # One point after the other: a second copy of the gradient is all the memory it takes.
        points = tf.map_fn(
            at,
            multipliers,
            fn_output_signature=dict.fromkeys(SmoothnessRecord.TABLES, kind),
            parallel_iterations=1,
        )
        return {
            "loss": loss,
            "weight_norm": norm(weights),
            "gradient_norm": norm(g0),
            "direction_norm": length,
            "slope": inner(g0, d),
            **points,
        }

    compiled: Callable[..., dict[str, tf.Tensor]] = tf.function(evaluate)
    return compiled


def shift_function(
    model: keras.Model, layers: Sequence[TrackedLayer]
) -> Callable[[Any], dict[str, tf.Tensor]]:
    """Compile the measurement of covariate shift for one model.

    Returns:
        A function of a batch that gives `l2`, `cosine` and `gradient_norm`, each of shape (L,).
    """
    probe = Probe(model)

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

    compiled: Callable[..., dict[str, tf.Tensor]] = tf.function(evaluate)
    return compiled
