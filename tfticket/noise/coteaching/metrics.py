"""What an epoch's selections did, counted inside the step and read when the epoch has ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfticket.internals import CompileMetrics
from tfticket.noise.coteaching.outputs import class_ids
from tfticket.noise.coteaching.selection import Decision

# What is counted of each step: samples in masks, then the rest.
_MASKS = (
    "examples",
    "first",
    "second",
    "candidates",
    "disagreed",
    "first_not_finite",
    "second_not_finite",
    "right",
    "first_right",
    "second_right",
)
_REST = ("steps", "wanted", "starved", "told")
_BY_CLASS = 3  # the first three masks


@dataclass(frozen=True)
class SelectionSummary:
    """The selections of one epoch; shares are in [0, 1], and NaN where nothing was counted.

    Attributes:
        steps: Training steps.
        forget_rate: Mean share that was to be dropped.
        keep_rate: Share of the candidates that was kept, mean of both networks.
        starved: Share of the steps in which a network was left with a single one of several
            candidates.
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
    """What a step did, counted exactly.

    Attributes:
        samples: In each of the masks, float64, shape (masks,).
        by_class: In the first three, by given class, float64, shape (3, classes); or None.
        kept: Mean of both networks, float32 scalar.
        candidates: Float32 scalar.
        disagreed: Float32 scalar.
        told: Whether the true labels are known.
    """

    samples: Any
    by_class: Any
    kept: Any
    candidates: Any
    disagreed: Any
    told: bool


def count(decision: Decision, losses: tuple[Any, Any], true: Any, classes: int | None) -> Counts:
    """Counts a step, inside the graph, in one sum over all masks.

    Args:
        decision: What was selected.
        losses: Of both networks, each shape (batch,).
        true: True labels, in the form of the given ones; or None.
        classes: Number of classes, or None.
    """
    choice, labels = decision.choice, decision.labels
    told = true is not None and labels is not None
    right = labels == class_ids(true, classes) if told else tf.zeros_like(choice.first)
    masks = {
        "examples": tf.ones_like(choice.first),
        "first": choice.first,
        "second": choice.second,
        "candidates": choice.candidates,
        "disagreed": decision.disagree,
        "first_not_finite": ~tf.math.is_finite(losses[0]),
        "second_not_finite": ~tf.math.is_finite(losses[1]),
        "right": right,
        "first_right": choice.first & right,
        "second_right": choice.second & right,
    }
    rows = tf.cast(tf.stack([masks[name] for name in _MASKS]), tf.float64)
    samples = tf.reduce_sum(rows, axis=1)
    by_class = None
    if labels is not None and classes:
        by_class = rows[:_BY_CLASS] @ tf.one_hot(labels, classes, dtype=tf.float64)
    found = dict(zip(_MASKS, tf.unstack(tf.cast(samples, tf.float32)), strict=True))
    kept = (found["first"] + found["second"]) / 2
    return Counts(samples, by_class, kept, found["candidates"], found["disagreed"], told)


class Tally:
    """Counts of an epoch, in variables that belong to nobody's state: they are never saved.

    Args:
        classes: Number of classes, or None.
    """

    def __init__(self, classes: int | None) -> None:
        self.classes = classes
        self._counts = _zeros((len(_MASKS) + len(_REST),), "counts")
        self._by_class = _zeros((_BY_CLASS, classes or 0), "by_class")

    def reset(self) -> None:
        """Begins an epoch."""
        for variable in (self._counts, self._by_class):
            variable.assign(np.zeros(variable.shape, "float64"))

    def update(self, counts: Counts, forget_rate: Any) -> None:
        """Adds a step, inside the graph.

        Args:
            counts: What it did.
            forget_rate: Share that was to be dropped, scalar.
        """
        examples, first, second, candidates = tf.unstack(counts.samples[:4])
        rest = {
            "steps": tf.ones((), tf.float64),
            "wanted": tf.cast(forget_rate, tf.float64),
            "starved": tf.cast((tf.minimum(first, second) <= 1) & (candidates > 1), tf.float64),
            "told": examples if counts.told else tf.zeros((), tf.float64),
        }
        added = tf.concat([counts.samples, tf.stack([rest[name] for name in _REST])], axis=0)
        self._counts.assign_add(added)
        if counts.by_class is not None:
            self._by_class.assign_add(counts.by_class)

    def summary(self) -> SelectionSummary:
        """What was counted since `reset`."""
        found = dict(zip((*_MASKS, *_REST), self._counts.numpy().tolist(), strict=True))
        seen, *both = np.asarray(self._by_class.numpy())
        class_kept = sum(both) / 2
        kept = (found["first"] + found["second"]) / 2
        kept_right = (found["first_right"] + found["second_right"]) / 2
        truth = found["told"] > 0
        return SelectionSummary(
            steps=int(found["steps"]),
            forget_rate=_ratio(found["wanted"], found["steps"]),
            keep_rate=_ratio(kept, found["candidates"]),
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


def _zeros(shape: tuple[int, ...], name: str) -> keras.Variable:
    # float64 counts exactly, and isn't cast by mixed precision.
    return keras.Variable(
        np.zeros(shape), dtype="float64", trainable=False, autocast=False, name=name
    )


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")


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


class Means(keras.metrics.Metric):
    """Several weighted means, reported by their names.

    As many of Keras' `Mean` say the same, but each brings two variables and a dozen operations to
    a step, and in small networks that is what a step costs.

    Args:
        names: What the means are called, in the order in which they are reported.
        name: As for any metric.
    """

    def __init__(self, names: Sequence[str], *, name: str = "means") -> None:
        super().__init__(name=name)
        self._names = tuple(names)
        self._sums = self.add_variable(
            shape=(2, len(self._names)), initializer="zeros", name="sums"
        )

    def update_state(self, added: Mapping[str, tuple[Any, Any]]) -> None:
        """Adds to some means or all.

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
