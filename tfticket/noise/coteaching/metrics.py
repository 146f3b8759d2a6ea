"""Metrics of co-teaching: of both networks, of the pair, and of the selections of an epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfticket.internals import CompileMetrics
from tfticket.noise.coteaching.outputs import class_ids
from tfticket.noise.coteaching.selection import Selection

PEERS = ("first", "second")
TRAINING_ONLY = ("forget_rate", "keep_rate")  # `evaluate` doesn't select

# What is counted of each step: samples in masks, then the rest.
_MASKS = (
    "examples",
    "first",
    "second",
    "eligible",
    "disagreed",
    "first_not_finite",
    "second_not_finite",
    "right",
    "first_right",
    "second_right",
)
_REST = ("steps", "forget_rate", "starved", "with_truth")
_BY_CLASS = 3  # the first three masks


@dataclass(frozen=True)
class SelectionSummary:
    """The selections of one epoch; shares are in [0, 1], and NaN where nothing was counted.

    Attributes:
        steps: Training steps.
        forget_rate: Mean share that was to be dropped.
        keep_rate: Share of the eligible samples that was kept, mean of both networks.
        starved: Share of the steps in which a network was left with a single one of several
            eligible samples.
        disagreement: Share of the samples for which the networks predicted different classes.
        not_finite: Losses that were NaN or infinite, of both networks.
        class_seen: Samples of each given class, shape (classes,); empty without classes.
        class_keep_rate: Share of these that was kept, mean of both networks, shape (classes,).
        label_precision: Share of the kept labels that is right; None without true labels.
        label_recall: Share of the right labels that was kept; None without true labels.
    """

    steps: int
    forget_rate: float
    keep_rate: float
    starved: float
    disagreement: float
    not_finite: int
    class_seen: np.ndarray
    class_keep_rate: np.ndarray
    label_precision: float | None
    label_recall: float | None


class Counts(NamedTuple):
    """Samples of one step, float32 scalars.

    Attributes:
        kept: Mean of both networks.
        eligible: Samples that could be kept.
        disagreed: Samples for which the networks predict different classes.
        forget_rate: Share that was to be dropped.
    """

    kept: Any
    eligible: Any
    disagreed: Any
    forget_rate: Any


class SelectionCounter:
    """Counts of an epoch's selections, in variables that are part of no state and never saved.

    Args:
        classes: Number of classes, or None.
    """

    def __init__(self, classes: int | None) -> None:
        self._classes = classes
        self._counts = _zeros((len(_MASKS) + len(_REST),), "counts")
        self._by_class = _zeros((_BY_CLASS, classes or 0), "by_class")

    def reset(self) -> None:
        """Begin an epoch."""
        for variable in (self._counts, self._by_class):
            variable.assign(np.zeros(variable.shape, "float64"))

    def update(self, selection: Selection, true: Any) -> Counts:
        """Count a step, inside the graph, in one sum over all masks.

        Args:
            selection: The selection of the step.
            true: True labels, in the form of the given ones; or None.
        """
        kept, labels = selection.masks, selection.labels
        known = true is not None and labels is not None
        right = labels == class_ids(true, self._classes) if known else tf.zeros_like(kept.first)
        masks = {
            "examples": tf.ones_like(kept.first),
            **kept._asdict(),
            "disagreed": selection.disagree,
            "first_not_finite": ~tf.math.is_finite(selection.losses[0]),
            "second_not_finite": ~tf.math.is_finite(selection.losses[1]),
            "right": right,
            "first_right": kept.first & right,
            "second_right": kept.second & right,
        }
        rows = tf.cast(tf.stack([masks[name] for name in _MASKS]), tf.float64)
        samples = tf.reduce_sum(rows, axis=1)
        if labels is not None and self._classes:
            own = tf.one_hot(labels, self._classes, dtype=tf.float64)
            self._by_class.assign_add(rows[:_BY_CLASS] @ own)
        examples, first, second, eligible = tf.unstack(samples[:4])
        rest = {
            "steps": tf.ones((), tf.float64),
            "forget_rate": tf.cast(selection.forget_rate, tf.float64),
            "starved": tf.cast((tf.minimum(first, second) <= 1) & (eligible > 1), tf.float64),
            "with_truth": examples if known else tf.zeros((), tf.float64),
        }
        added = tf.concat([samples, tf.stack([rest[name] for name in _REST])], axis=0)
        self._counts.assign_add(added)
        found = dict(zip(_MASKS, tf.unstack(tf.cast(samples, tf.float32)), strict=True))
        mean = (found["first"] + found["second"]) / 2
        return Counts(mean, found["eligible"], found["disagreed"], selection.forget_rate)

    def summary(self) -> SelectionSummary:
        """Summarize what was counted since `reset`."""
        found = dict(zip((*_MASKS, *_REST), self._counts.numpy().tolist(), strict=True))
        seen, *both = np.asarray(self._by_class.numpy())
        class_kept = sum(both) / 2
        kept = (found["first"] + found["second"]) / 2
        kept_right = (found["first_right"] + found["second_right"]) / 2
        truth = found["with_truth"] > 0
        return SelectionSummary(
            steps=int(found["steps"]),
            forget_rate=_ratio(found["forget_rate"], found["steps"]),
            keep_rate=_ratio(kept, found["eligible"]),
            starved=_ratio(found["starved"], found["steps"]),
            disagreement=_ratio(found["disagreed"], found["examples"]),
            not_finite=int(found["first_not_finite"] + found["second_not_finite"]),
            class_seen=seen.astype(int),
            class_keep_rate=np.divide(
                class_kept, seen, out=np.full(seen.shape, np.nan), where=seen > 0
            ),
            label_precision=_ratio(kept_right, kept) if truth else None,
            label_recall=_ratio(kept_right, found["right"]) if truth else None,
        )


class Means(keras.metrics.Metric):
    """Several weighted means, reported by their names, in one variable.

    As many of Keras' `Mean` say the same, but each brings two variables and a dozen operations to
    a step, and in small networks that is what a step costs.

    Args:
        names: Names of the means, in the order in which they are reported.
        name: As for any metric.
    """

    def __init__(self, names: Sequence[str], *, name: str = "means") -> None:
        super().__init__(name=name)
        self._names = tuple(names)
        self._sums = self.add_variable(
            shape=(2, len(self._names)), initializer="zeros", name="sums"
        )

    def update_state(self, added: Mapping[str, tuple[Any, Any]]) -> None:
        """Add to some means or all.

        Args:
            added: The weighted sum of the new values and the sum of their weights, scalars, by
                name.
        """
        ops = keras.ops
        nothing = dict.fromkeys(self._names, (0.0, 0.0))
        sums, weights = zip(*({**nothing, **added}[name] for name in self._names), strict=True)
        numbers = [ops.cast(number, self.dtype) for number in (*sums, *weights)]
        self._sums.assign_add(ops.reshape(ops.stack(numbers), (2, -1)))

    def result(self) -> dict[str, Any]:
        """Each mean by name, float32 scalars; 0 where nothing was added."""
        ops = keras.ops
        means = ops.divide_no_nan(self._sums[0], self._sums[1])
        return dict(zip(self._names, ops.unstack(means), strict=True))


class PairMetrics:
    """The metrics of `compile`, three times: of the pair, `first_...` and `second_...`.

    Args:
        metrics: As given to `compile`.
        weighted_metrics: As given to `compile`.
    """

    def __init__(self, metrics: Any = None, weighted_metrics: Any = None) -> None:
        self.means = Means([*(f"{name}_loss" for name in PEERS), "disagreement", *TRAINING_ONLY])
        self._sets: dict[str, CompileMetrics] = {}
        if metrics or weighted_metrics:
            self._sets = {
                name: CompileMetrics(*(_copies(each) for each in (metrics, weighted_metrics)))
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
        counts: Counts | None = None,
    ) -> None:
        """Add a batch.

        Args:
            y: Given labels.
            outputs: Predictions under the names "" (of the pair), `first` and `second`.
            losses: The loss of each network, scalars.
            disagreed: For how many samples the networks predict different classes, or None.
            sample_weight: For the weighted metrics, or None.
            counts: In training, the samples of the step.
        """
        for name, each in self._sets.items():
            if not each.built:
                each.build(y, outputs[name])
                for metric in each.metrics if name else ():
                    metric.name = f"{name}_{metric.name}"
            each.update_state(y, outputs[name], sample_weight)
        size = keras.ops.cast(keras.ops.shape(outputs[""])[0], "float32")
        added = {
            f"{name}_loss": (loss * size, size) for name, loss in zip(PEERS, losses, strict=True)
        }
        if disagreed is not None:
            added["disagreement"] = disagreed, size
        if counts is not None:
            added["forget_rate"] = counts.forget_rate, 1.0
            # Where all have weight 0 there is no eligible sample, and all are kept.
            added["keep_rate"] = counts.kept, keras.ops.maximum(counts.eligible, 1.0)
        self.means.update_state(added)


def _copies(metrics: Any) -> Any:
    """The same metrics with a state of their own."""

    def copy(metric: Any) -> Any:
        if isinstance(metric, keras.metrics.Metric):
            return type(metric).from_config(metric.get_config())
        return metric

    return keras.tree.map_structure(copy, metrics)


def _zeros(shape: tuple[int, ...], name: str) -> keras.Variable:
    # float64 counts exactly, and isn't cast by mixed precision.
    return keras.Variable(
        np.zeros(shape), dtype="float64", trainable=False, autocast=False, name=name
    )


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")
