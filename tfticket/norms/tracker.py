"""Measures the loss landscape along the steps of a running `fit`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from tfticket.norms.landscape import SmoothnessRecord
from tfticket.norms.observer import Observer, When
from tfticket.norms.probe import Probe, inner, norm
from tfticket.state import innermost_optimizer

MULTIPLIERS = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0)
"""Half to four times the learning rate: the range of the paper's VGG, appendix A.2.2."""

_POINTWISE = ("losses", "gradient_norms", "gradient_change", "curvature")


class LandscapeTracker(Observer):
    """Loss band, gradient predictiveness and effective beta, as `model.fit` goes on.

        tracker = LandscapeTracker(100)
        model.fit(x, y, epochs=10, callbacks=[tracker])
        tracker.record.effective_beta

    What is measured is defined in `tfticket.norms.landscape`. Training isn't changed in one bit:
    `assert_no_trace` proves it. Each measurement costs about as much as `len(multipliers) + 1`
    steps.

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
        verbose: 0 is silent, 1 prints the cost when `fit` ends, 2 each measurement as well.
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
        verbose: int = 1,
    ) -> None:
        super().__init__(when, batch=batch, budget=budget, log_dir=log_dir, verbose=verbose)
        self.multipliers = _checked(multipliers)
        if direction not in ("gradient", "update"):
            raise ValueError(
                f"`direction` must be 'gradient' or 'update'. Received: direction={direction!r}"
            )
        self.direction = direction
        self.on_record = on_record
        self._moments: list[SmoothnessRecord] = []
        self._evaluate: Callable[..., dict[str, tf.Tensor]] | None = None

    @property
    def record(self) -> SmoothnessRecord:
        """All measurements of the last `fit`."""
        return _concatenated(self._moments, self.multipliers)

    def begin(self) -> None:
        """See `Observer`."""
        self._moments = []
        self._evaluate = landscape_function(self.model, self.direction)

    def measure(self, step: int, batch: Any) -> str:
        """See `Observer`."""
        assert self._evaluate is not None
        rate = float(keras.ops.convert_to_numpy(innermost_optimizer(self.model).learning_rate))
        found = self._evaluate(batch, rate, tf.constant(self.multipliers))
        moment = _moment(step, rate, self.multipliers, found)
        self._moments.append(moment)
        self.write(moment.rows(seed=0, branch="fit", steps_per_epoch=1))
        if self.on_record is not None:
            self.on_record(moment)
        return (
            f"beta {moment.effective_beta[0]:.3g}{' (saturated)' if moment.saturated[0] else ''}, "
            f"gradient change up to {moment.gradient_predictiveness[0, 1]:.3g}, "
            f"lr * sharpness / 2 = {moment.gauge[0]:.2f}"
        )

    def release(self) -> None:
        """See `Observer`."""
        self._evaluate = None


def landscape_function(
    model: keras.Model, direction: Literal["gradient", "update"]
) -> Callable[..., dict[str, tf.Tensor]]:
    """Compiles the measurement for one model.

    Returns:
        A function of a batch, the learning rate and the multipliers, shape (K,). It gives the
        fields of `SmoothnessRecord` for one moment by name: scalars, and arrays of shape (K,).
    """
    probe = Probe(model)

    @tf.function
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
            fn_output_signature=dict.fromkeys(_POINTWISE, kind),
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

    return evaluate


def _checked(multipliers: Sequence[float]) -> np.ndarray:
    values = np.asarray(multipliers, np.float64)
    if values.ndim != 1 or not len(values) or values[0] <= 0 or np.any(np.diff(values) <= 0):
        raise ValueError(
            "`multipliers` must be numbers above 0, one or more, each larger than the one before. "
            f"Received: multipliers={list(multipliers)}"
        )
    return values


def _moment(
    step: int, rate: float, multipliers: np.ndarray, found: dict[str, tf.Tensor]
) -> SmoothnessRecord:
    arrays = {name: value.numpy().astype(np.float64)[None] for name, value in found.items()}
    return SmoothnessRecord(
        step=np.array([step], np.int64),
        learning_rate=np.array([rate]),
        multipliers=multipliers,
        **arrays,
    )


def _concatenated(moments: list[SmoothnessRecord], multipliers: np.ndarray) -> SmoothnessRecord:
    if not moments:
        empty = np.empty((0,))
        points = np.empty((0, len(multipliers)))
        return SmoothnessRecord(
            np.empty((0,), np.int64), empty, multipliers, empty, points, *[empty] * 4, *[points] * 3
        )
    parts = [moment.to_arrays() for moment in moments]
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return SmoothnessRecord(**{**joined, "multipliers": multipliers})
