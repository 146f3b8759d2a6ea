"""Which samples each network is updated on: the rules of the papers, one function each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import tensorflow as tf

from tfticket.noisy.selecting import small_loss_mask

Update = Literal["coteaching", "coteaching_plus", "jocor", "decoupling", "plain"]


@dataclass(frozen=True)
class Batch:
    """What a rule may look at, all tensors.

    Attributes:
        losses: Of the first and the second network, each float32, shape (batch,).
        disagree: Where the networks predict different classes, boolean, shape (batch,).
        candidates: Samples with a weight above 0, or all where there are none, boolean, shape
            (batch,).
        forget_rate: Share of the candidates to drop, float32 scalar in [0, 1).
        warming_up: Whether disagreement is ignored still, boolean scalar.
        labels: Given classes, int32, shape (batch,), or None.
        class_floor: Smallest share of each class to keep, in [0, 1].
    """

    losses: tuple[Any, Any]
    disagree: Any
    candidates: Any
    forget_rate: Any
    warming_up: Any
    labels: Any
    class_floor: float

    def small_loss(self, network: int) -> tf.Tensor:
        """The samples that the network (0 or 1) believes."""
        return small_loss_mask(
            self.losses[network],
            self.forget_rate,
            candidates=self.candidates,
            labels=self.labels,
            class_floor=self.class_floor,
        )


class Choice(NamedTuple):
    """Boolean masks of shape (batch,).

    Attributes:
        first: What the first network is updated on.
        second: What the second network is updated on.
        candidates: Whom the rule chose from.
    """

    first: tf.Tensor
    second: tf.Tensor
    candidates: tf.Tensor


def coteaching(batch: Batch) -> Choice:
    """Each network learns from what the *other* believes.

    Han et al. (2018, arXiv:1804.06872), algorithm 1, steps 4 to 7.
    """
    return Choice(batch.small_loss(1), batch.small_loss(0), batch.candidates)


def coteaching_plus(batch: Batch) -> Choice:
    """Co-teaching among the samples on which the networks disagree.

    Yu et al. (2019, arXiv:1901.04215), algorithm 1. Where they agree on a whole batch, it is
    co-teaching on all of it.
    """
    disputed = batch.candidates & (batch.disagree | batch.warming_up)
    disputed = tf.where(tf.reduce_any(disputed), disputed, batch.candidates)
    return coteaching(replace(batch, candidates=disputed))


def joint(batch: Batch) -> Choice:
    """Both learn from the samples of small joint loss, which stands for the losses of both.

    Wei et al. (2020, arXiv:2003.02752), algorithm 1.
    """
    chosen = batch.small_loss(0)
    return Choice(chosen, chosen, batch.candidates)


def decoupling(batch: Batch) -> Choice:
    """Both learn from all samples on which they disagree, whatever the losses.

    Malach & Shalev-Shwartz (2017, arXiv:1706.02613), algorithm 1. Where they agree on a whole
    batch the paper makes no update; here each learns from its one best sample, so that no
    selection is empty.
    """
    disputed = batch.candidates & (batch.disagree | batch.warming_up)
    best = replace(batch, forget_rate=tf.constant(1.0), class_floor=0.0)
    some = tf.reduce_any(disputed)
    first, second = (tf.where(some, disputed, best.small_loss(n)) for n in (0, 1))
    return Choice(first, second, tf.where(some, disputed, first | second))


def plain(batch: Batch) -> Choice:
    """Both learn from everything: the baseline, two networks trained side by side."""
    return Choice(batch.candidates, batch.candidates, batch.candidates)


UPDATES: dict[str, Callable[[Batch], Choice]] = {
    "coteaching": coteaching,
    "coteaching_plus": coteaching_plus,
    "jocor": joint,
    "decoupling": decoupling,
    "plain": plain,
}
