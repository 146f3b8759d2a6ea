"""What an epoch's selections did, counted inside the step and read when the epoch has ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfticket.noisy.outputs import class_ids
from tfticket.noisy.rule import Decision

_COUNTS = (
    "steps",
    "examples",
    "candidates",
    "wanted",
    "kept",
    "starved",
    "disagreed",
    "not_finite",
    "told",
    "right",
    "kept_right",
)


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


class Tally:
    """Counts in variables that belong to nobody's state: they are never saved.

    Args:
        classes: Number of classes, or None.
    """

    def __init__(self, classes: int | None) -> None:
        self.classes = classes
        self._counts = _zeros((len(_COUNTS),), "counts")
        self._by_class = _zeros((2, classes or 0), "by_class")

    def reset(self) -> None:
        """Begins an epoch."""
        for variable in (self._counts, self._by_class):
            variable.assign(np.zeros(variable.shape, "float64"))

    def update(self, decision: Decision, losses: tuple[Any, Any], true: Any) -> None:
        """Adds a step, inside the graph.

        Args:
            decision: What was selected.
            losses: Of both networks, each shape (batch,).
            true: True labels, in the form of the given ones; or None.
        """
        choice, labels = decision.choice, decision.labels
        kept = _number(choice.first) + _number(choice.second)
        candidates = _sum(choice.candidates)
        few = (_sum(choice.first) <= 1) | (_sum(choice.second) <= 1)
        told, right = tf.zeros((), tf.float64), tf.zeros_like(kept)
        if true is not None and labels is not None:
            told = _sum(tf.ones_like(kept))
            right = _number(labels == class_ids(true, self.classes))
        found = {
            "steps": tf.ones((), tf.float64),
            "examples": _sum(tf.ones_like(kept)),
            "candidates": candidates,
            "wanted": tf.cast(decision.forget_rate, tf.float64),
            "kept": _sum(kept) / 2,
            "starved": _number(few & (candidates > 1)),
            "disagreed": _sum(decision.disagree),
            "not_finite": sum(_sum(~tf.math.is_finite(values)) for values in losses),
            "told": told,
            "right": _sum(right),
            "kept_right": _sum(right * kept) / 2,
        }
        self._counts.assign_add(tf.stack([found[name] for name in _COUNTS]))
        if labels is not None and self.classes:
            rows = tf.one_hot(labels, self.classes, dtype=tf.float64)
            seen = tf.reduce_sum(rows, axis=0)
            self._by_class.assign_add(tf.stack([seen, tf.linalg.matvec(rows, kept, True) / 2]))

    def summary(self) -> SelectionSummary:
        """What was counted since `reset`."""
        count = dict(zip(_COUNTS, self._counts.numpy().tolist(), strict=True))
        seen, kept = np.asarray(self._by_class.numpy())
        truth = count["told"] > 0
        return SelectionSummary(
            steps=int(count["steps"]),
            forget_rate=_ratio(count["wanted"], count["steps"]),
            keep_rate=_ratio(count["kept"], count["candidates"]),
            starved=_ratio(count["starved"], count["steps"]),
            disagreement=_ratio(count["disagreed"], count["examples"]),
            not_finite=int(count["not_finite"]),
            class_seen=seen.astype(int),
            class_keep_rate=np.divide(kept, seen, out=np.full(seen.shape, np.nan), where=seen > 0),
            label_precision=_ratio(count["kept_right"], count["kept"]) if truth else None,
            label_recall=_ratio(count["kept_right"], count["right"]) if truth else None,
        )


def _zeros(shape: tuple[int, ...], name: str) -> keras.Variable:
    # float64 counts exactly, and isn't cast by mixed precision.
    return keras.Variable(
        np.zeros(shape), dtype="float64", trainable=False, autocast=False, name=name
    )


def _number(mask: Any) -> tf.Tensor:
    return tf.cast(mask, tf.float64)


def _sum(mask: Any) -> tf.Tensor:
    return tf.reduce_sum(_number(mask))


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")
