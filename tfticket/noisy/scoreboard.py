"""The metrics of two networks and of what they say together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from tfticket.internals import CompileMetrics
from tfticket.noisy.means import Means
from tfticket.noisy.tally import Counts

PEERS = ("first", "second")
TRAINING_ONLY = ("forget_rate", "keep_rate")  # `evaluate` doesn't select


class Scoreboard:
    """What `compile` asked to measure, three times: together, `first_...` and `second_...`.

    Args:
        metrics: As given to `compile`.
        weighted_metrics: As given to `compile`.
    """

    def __init__(self, metrics: Any = None, weighted_metrics: Any = None) -> None:
        self.means = Means([*(f"{name}_loss" for name in PEERS), "disagreement", *TRAINING_ONLY])
        self._sets: dict[str, CompileMetrics] = {}
        if metrics or weighted_metrics:
            self._sets = {
                name: CompileMetrics(_copies(metrics), _copies(weighted_metrics))
                for name in ("", *PEERS)
            }

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """All of them, for Keras to reset and report."""
        return [self.means, *(each for each in self._sets.values() if each.built)]

    def update(
        self,
        y: Any,
        outputs: Mapping[str, Any],
        *,
        losses: tuple[Any, ...],
        disagreed: Any,
        sample_weight: Any,
        selection: tuple[Counts, Any] | None = None,
    ) -> None:
        """Adds a batch.

        Args:
            y: Given labels.
            outputs: Predictions under the names "" (together), `first` and `second`.
            losses: What each network minimizes, scalars.
            disagreed: For how many samples the networks predict different classes, or None.
            sample_weight: For the weighted metrics, or None.
            selection: In training, what was counted, and the forget rate.
        """
        for name, each in self._sets.items():
            if not each.built:
                self._build(name, each, y, outputs[name])
            each.update_state(y, outputs[name], sample_weight)
        size = keras.ops.cast(keras.ops.shape(outputs[""])[0], "float32")
        added = {
            f"{name}_loss": (loss * size, size) for name, loss in zip(PEERS, losses, strict=True)
        }
        if disagreed is not None:
            added["disagreement"] = disagreed, size
        if selection is not None:
            counts, forget_rate = selection
            added["forget_rate"] = forget_rate, 1.0
            # Where all have weight 0 there is no candidate, and everyone is kept.
            added["keep_rate"] = counts.kept, keras.ops.maximum(counts.candidates, 1.0)
        self.means.update_state(added)

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
