"""The metrics of two networks and of what they say together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras.src.trainers.compile_utils import CompileMetrics

from tfticket.noisy.updates import Choice

PEERS = ("first", "second")
TRAINING_ONLY = ("forget_rate", "keep_rate")  # `evaluate` doesn't select


class Scoreboard:
    """What `compile` asked to measure, three times: together, `first_...` and `second_...`.

    Args:
        metrics: As given to `compile`.
        weighted_metrics: As given to `compile`.
    """

    def __init__(self, metrics: Any = None, weighted_metrics: Any = None) -> None:
        self.losses = {name: keras.metrics.Mean(name=f"{name}_loss") for name in PEERS}
        self.disagreement = keras.metrics.Mean(name="disagreement")
        self.forget_rate = keras.metrics.Mean(name="forget_rate")
        self.keep_rate = keras.metrics.Mean(name="keep_rate")
        self._sets: dict[str, CompileMetrics] = {}
        if metrics or weighted_metrics:
            self._sets = {
                name: CompileMetrics(_copies(metrics), _copies(weighted_metrics))
                for name in ("", *PEERS)
            }

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """All of them, for Keras to reset and report."""
        own = [*self.losses.values(), self.disagreement, self.forget_rate, self.keep_rate]
        return [*own, *(each for each in self._sets.values() if each.built)]

    def update(
        self,
        y: Any,
        outputs: Mapping[str, Any],
        *,
        losses: tuple[Any, ...],
        disagree: Any,
        sample_weight: Any,
    ) -> None:
        """Adds a batch.

        Args:
            y: Given labels.
            outputs: Predictions under the names "" (together), `first` and `second`.
            losses: What each network minimizes, scalars.
            disagree: Where the networks predict different classes, shape (batch,), or None.
            sample_weight: For the weighted metrics, or None.
        """
        size = keras.ops.shape(outputs[""])[0]
        for name, loss in zip(PEERS, losses, strict=True):
            self.losses[name].update_state(loss, sample_weight=size)
        for name, each in self._sets.items():
            if not each.built:
                self._build(name, each, y, outputs[name])
            each.update_state(y, outputs[name], sample_weight)
        if disagree is not None:
            self.disagreement.update_state(keras.ops.cast(disagree, "float32"))

    def update_selection(self, choice: Choice, forget_rate: Any) -> None:
        """Adds the selection of a training step."""
        kept = [keras.ops.cast(mask, "float32") for mask in choice]
        candidates = keras.ops.maximum(keras.ops.sum(kept[2]), 1.0)
        rate = keras.ops.sum(kept[0] + kept[1]) / 2.0 / candidates
        self.keep_rate.update_state(rate, sample_weight=candidates)
        self.forget_rate.update_state(forget_rate)

    def _build(self, name: str, each: CompileMetrics, y: Any, outputs: Any) -> None:
        each.build(y, outputs)
        for metric in each.metrics if name else ():
            metric.name = f"{name}_{metric.name}"


def _copies(metrics: Any) -> Any:
    """The same metrics with a count of their own."""
    return keras.tree.map_structure(_copy, metrics)


def _copy(metric: Any) -> Any:
    if isinstance(metric, keras.metrics.Metric):
        return type(metric).from_config(metric.get_config())
    return metric
