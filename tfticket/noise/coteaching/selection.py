"""Small-loss selection: the samples of a batch that each of two networks is updated on.

Deep networks learn what is common before what is contradictory, so early in training wrong labels
are among those with large losses (Han et al. 2018, arXiv:1804.06872, section 2). The rules of the
papers (`UPDATES`) are one function each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, NamedTuple

import keras
import tensorflow as tf

from tfticket.errors import ModelError
from tfticket.noise.coteaching import checks
from tfticket.noise.coteaching.forget_rate import ForgetRate
from tfticket.noise.coteaching.outputs import (
    OUTPUTS,
    Outputs,
    class_count,
    class_ids,
    disagreement,
    symmetric_divergence,
)

Update = Literal["coteaching", "coteaching_plus", "jocor", "decoupling", "plain"]

# (1 - 0.9) * 10 is 0.99... in binary numbers, and means 1.
_ROUNDING = 1e-4


def small_loss_mask(
    losses: Any, forget_rate: Any, *, eligible: Any, labels: Any = None, class_floor: float = 0.0
) -> tf.Tensor:
    """Keep the samples of smallest loss: floor((1 - forget_rate) * n) of n eligible, at least 1.

    Ties go by position. With a class floor, the best samples of each class are kept first, and the
    other places go to the smallest losses overall; the places grow where the classes need more than
    there are. The number of samples to keep is a tensor and the selection a mask, so that the
    forget rate can change from step to step without a new trace, and nothing leaves the device to
    be sorted.

        >>> small_loss_mask(tf.constant([0.1, 3.0, 0.2, 5.0]), 0.5, eligible=tf.fill(4, True))
        <tf.Tensor: shape=(4,), dtype=bool, numpy=array([ True, False,  True, False])>

    Source: Han et al. (2018), algorithm 1, lines 4 and 5; the paper says nothing of rounding.

    Args:
        losses: Loss of each sample, float32, shape (batch,). One that isn't finite counts as larger
            than all others.
        forget_rate: Share of the eligible samples to drop, float32 scalar in [0, 1].
        eligible: Samples that can be kept, boolean, shape (batch,); all when none can.
        labels: Given class of each sample, integers, shape (batch,); needed for a class floor.
        class_floor: Smallest share of each class to keep, in [0, 1], and at least one of each; 0 is
            no floor.

    Returns:
        True = kept, boolean, shape (batch,); never empty.
    """
    losses = tf.stop_gradient(losses)
    eligible = _all_if_none(eligible)
    finite = tf.where(tf.math.is_finite(losses), losses, losses.dtype.max)
    rank = _ranks(tf.where(eligible, finite, tf.constant(float("inf"), losses.dtype)))
    kept = _share(1.0 - forget_rate, _count(eligible))
    if class_floor:
        best = _best_mask(rank, eligible, labels, class_floor)
        kept = tf.maximum(kept, _count(best))
        rank = _ranks(tf.where(best, rank - tf.size(rank), rank))
    return (rank < kept) & eligible


def _all_if_none(mask: Any) -> tf.Tensor:
    return mask | ~tf.reduce_any(mask)


def _ranks(keys: Any) -> tf.Tensor:
    """Place of each sample in ascending order, from 0; ties go by position."""
    return tf.math.invert_permutation(tf.argsort(keys, stable=True))


def _count(mask: Any) -> tf.Tensor:
    return tf.reduce_sum(tf.cast(mask, tf.int32))


def _share(share: Any, counts: Any) -> tf.Tensor:
    """That share of each count, rounded down, at least 1."""
    exact = tf.cast(share, tf.float32) * tf.cast(counts, tf.float32)
    return tf.maximum(1, tf.cast(tf.floor(exact + _ROUNDING), tf.int32))


def _best_mask(rank: Any, eligible: Any, labels: Any, class_floor: float) -> tf.Tensor:
    """The eligible samples that belong to their class's share, whatever the other classes do."""
    same = (labels[:, None] == labels[None, :]) & eligible[None, :]
    better = same & (rank[None, :] < rank[:, None])
    place = tf.reduce_sum(tf.cast(better, tf.int32), axis=1)
    members = tf.reduce_sum(tf.cast(same, tf.int32), axis=1)
    return eligible & (place < _share(class_floor, members))


@dataclass(frozen=True)
class Batch:
    """A batch as the rules see it, all tensors.

    Attributes:
        losses: Of the first and the second network, each float32, shape (batch,).
        disagree: Where the networks predict different classes, boolean, shape (batch,).
        eligible: Samples with a weight above 0, or all where there are none, boolean, shape
            (batch,).
        forget_rate: Share of the eligible samples to drop, float32 scalar in [0, 1).
        warming_up: True while disagreement is ignored, boolean scalar.
        labels: Given classes, int32, shape (batch,), or None.
        class_floor: Smallest share of each class to keep, in [0, 1].
    """

    losses: tuple[Any, Any]
    disagree: Any
    eligible: Any
    forget_rate: Any
    warming_up: Any
    labels: Any
    class_floor: float

    def small_loss(self, network: int) -> tf.Tensor:
        """Mask of the samples with small losses by one network (0 or 1)."""
        return small_loss_mask(
            self.losses[network],
            self.forget_rate,
            eligible=self.eligible,
            labels=self.labels,
            class_floor=self.class_floor,
        )


class LossMasks(NamedTuple):
    """Boolean masks of shape (batch,).

    Attributes:
        first: Samples that the first network is updated on.
        second: Samples that the second network is updated on.
        eligible: Samples that the rule chose from.
    """

    first: tf.Tensor
    second: tf.Tensor
    eligible: tf.Tensor


def coteaching(batch: Batch) -> LossMasks:
    """Update each network on the small-loss samples of the *other*.

    Han et al. (2018, arXiv:1804.06872), algorithm 1, lines 4 to 7.
    """
    return LossMasks(batch.small_loss(1), batch.small_loss(0), batch.eligible)


def coteaching_plus(batch: Batch) -> LossMasks:
    """Apply co-teaching to the samples on which the networks disagree.

    Yu et al. (2019, arXiv:1901.04215), algorithm 1. Where they agree on a whole batch, it is
    co-teaching on all of it.
    """
    disputed = batch.eligible & (batch.disagree | batch.warming_up)
    disputed = tf.where(tf.reduce_any(disputed), disputed, batch.eligible)
    return coteaching(replace(batch, eligible=disputed))


def joint(batch: Batch) -> LossMasks:
    """Update both networks on the samples of small joint loss, which is the loss of either here.

    Wei et al. (2020, arXiv:2003.02752), algorithm 1.
    """
    kept = batch.small_loss(0)
    return LossMasks(kept, kept, batch.eligible)


def decoupling(batch: Batch) -> LossMasks:
    """Update both networks on all samples on which they disagree, whatever the losses.

    Malach & Shalev-Shwartz (2017, arXiv:1706.02613), algorithm 1. Where they agree on a whole
    batch the paper makes no update; here each learns from its one best sample, so that no
    selection is empty.
    """
    disputed = batch.eligible & (batch.disagree | batch.warming_up)
    best = replace(batch, forget_rate=tf.constant(1.0), class_floor=0.0)
    some = tf.reduce_any(disputed)
    first, second = (tf.where(some, disputed, best.small_loss(n)) for n in (0, 1))
    return LossMasks(first, second, tf.where(some, disputed, first | second))


def plain(batch: Batch) -> LossMasks:
    """Update both networks on everything: the baseline, two networks trained side by side."""
    return LossMasks(batch.eligible, batch.eligible, batch.eligible)


UPDATES: dict[str, Callable[[Batch], LossMasks]] = {
    "coteaching": coteaching,
    "coteaching_plus": coteaching_plus,
    "jocor": joint,
    "decoupling": decoupling,
    "plain": plain,
}


class Selection(NamedTuple):
    """The selection from one batch.

    Attributes:
        masks: Samples that each network is updated on.
        losses: Loss of each sample by both networks, each float32, shape (batch,).
        minimized: Per-example loss of each network, float32, shape (batch,).
        forget_rate: Share to be dropped, float32 scalar.
        disagree: Where the networks predict different classes, boolean, shape (batch,).
        labels: Given classes, int32, shape (batch,), or None where labels aren't classes.
    """

    masks: LossMasks
    losses: tuple[Any, Any]
    minimized: tuple[Any, Any]
    forget_rate: Any
    disagree: Any
    labels: Any


@dataclass(frozen=True)
class SelectionRule:
    """The settings of a selection, checked; the arguments of `CoTeaching` explain them."""

    forget_rate: ForgetRate
    update: Update
    warmup_epochs: int
    agreement: float
    class_floor: float
    outputs: Outputs

    def __post_init__(self) -> None:
        checks.check_choice("update", self.update, tuple(UPDATES))
        checks.check_choice("outputs", self.outputs, OUTPUTS)
        checks.check_between("agreement", self.agreement, below_one=True)
        checks.check_between("class_floor", self.class_floor, below_one=False)
        if self.warmup_epochs < 0:
            raise ModelError(f"`warmup_epochs` must be at least 0. Received: {self.warmup_epochs}.")
        needs_classes = self.update in ("coteaching_plus", "jocor", "decoupling")
        if self.outputs == "values" and (self.class_floor or needs_classes):
            raise ModelError(
                "Networks that give `values` have no classes to disagree on or to keep. Received: "
                f"update={self.update!r}, class_floor={self.class_floor}. Use 'coteaching' or "
                "'plain' without a class floor."
            )

    def select(
        self,
        outputs: tuple[Any, Any],
        losses: tuple[Any, Any],
        *,
        y: Any,
        sample_weight: Any,
        epochs_done: Any,
        relief: Any,
    ) -> Selection:
        """Select the samples of one batch.

        Args:
            outputs: Of both networks, each shape (batch, ...).
            losses: Of both networks, each float32, shape (batch,).
            y: Given labels.
            sample_weight: Shape (batch,), or None.
            epochs_done: Whole epochs done, integer scalar.
            relief: Factor of the forget rate, scalar in [0, 1].
        """
        differ = self.disagree(*outputs)
        labels = class_ids(y, class_count(tuple(outputs[0].shape), self.outputs))
        if self.class_floor and labels is None:
            raise ModelError(
                "A class floor needs one class for each sample: integers of shape (batch,), or "
                f"one-hot rows. Received: labels of shape {tuple(y.shape)}."
            )
        minimized = self.minimized(outputs, losses)
        forget_rate = self.forget_rate(epochs_done) * relief
        if self.update in ("decoupling", "plain"):
            forget_rate = tf.zeros_like(forget_rate)
        eligible = tf.ones_like(minimized[0], tf.bool)
        if sample_weight is not None:  # samples without weight teach nothing
            eligible = _all_if_none(sample_weight > 0)
        batch = Batch(
            losses=minimized,
            disagree=differ,
            eligible=eligible,
            forget_rate=forget_rate,
            warming_up=keras.ops.cast(epochs_done, "int32") < self.warmup_epochs,
            labels=labels,
            class_floor=self.class_floor,
        )
        return Selection(
            UPDATES[self.update](batch), losses, minimized, forget_rate, differ, labels
        )

    def disagree(self, first: Any, second: Any) -> Any:
        """Mask of the examples with different predictions, shape (batch,); all False for values."""
        if self.outputs == "values":
            return keras.ops.zeros((keras.ops.shape(first)[0],), "bool")
        return disagreement(first, second, self.outputs)

    def minimized(self, outputs: tuple[Any, Any], losses: tuple[Any, Any]) -> tuple[Any, Any]:
        """Return the per-example loss of each network, each float32, shape (batch,).

        The losses of each; of `jocor` the joint loss, Wei et al. (2020), equation 1.

        Args:
            outputs: Of both networks, each shape (batch, ...); of the same samples for `jocor`.
            losses: Of both networks, each float32, shape (batch,).
        """
        if self.update != "jocor":
            return losses
        apart = symmetric_divergence(*outputs, self.outputs)
        joint = (1 - self.agreement) * (losses[0] + losses[1]) + self.agreement * apart
        return joint, joint

    def get_config(self) -> dict[str, Any]:
        """The settings, for saving."""
        config = {field.name: getattr(self, field.name) for field in fields(self)}
        return {**config, "forget_rate": keras.saving.serialize_keras_object(self.forget_rate)}
