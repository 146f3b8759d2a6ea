"""The settings of co-teaching, and what they decide about one batch."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from tfticket.errors import ModelError
from tfticket.noisy import checks
from tfticket.noisy.forgetting import ForgetRate
from tfticket.noisy.outputs import (
    OUTPUTS,
    Outputs,
    class_count,
    class_ids,
    disagreement,
    symmetric_divergence,
)
from tfticket.noisy.selecting import everyone_if_nobody
from tfticket.noisy.updates import UPDATES, Batch, Choice, Update


class Decision(NamedTuple):
    """What is to happen with a batch.

    Attributes:
        choice: Which samples each network is updated on.
        values: What each network minimizes the mean of, each float32, shape (batch,).
        forget_rate: Share to be dropped, float32 scalar.
        disagree: Where the networks predict different classes, boolean, shape (batch,).
        labels: Given classes, int32, shape (batch,), or None where labels aren't classes.
    """

    choice: Choice
    values: tuple[Any, Any]
    forget_rate: Any
    disagree: Any
    labels: Any


@dataclass(frozen=True)
class Rule:
    """Checked settings; the arguments of `CoTeaching` say what they mean."""

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

    def decide(
        self,
        outputs: tuple[Any, Any],
        losses: tuple[Any, Any],
        *,
        y: Any,
        sample_weight: Any,
        epochs_done: Any,
        relief: Any,
    ) -> Decision:
        """Chooses the samples of one batch.

        Args:
            outputs: Of both networks, each shape (batch, ...).
            losses: Of both networks, each float32, shape (batch,).
            y: Given labels.
            sample_weight: Shape (batch,), or None.
            epochs_done: Whole epochs done, integer scalar.
            relief: What the forget rate is multiplied by, scalar in [0, 1].
        """
        differ = self.disagree(*outputs)
        labels = class_ids(y, class_count(tuple(outputs[0].shape), self.outputs))
        if self.class_floor and labels is None:
            raise ModelError(
                "A class floor needs one class for each sample: integers of shape (batch,), or "
                f"one-hot rows. Received: labels of shape {tuple(y.shape)}."
            )
        losses = self.values(outputs, losses)
        forget_rate = self.forget_rate(epochs_done) * relief
        if self.update in ("decoupling", "plain"):
            forget_rate = tf.zeros_like(forget_rate)
        candidates = tf.ones_like(losses[0], tf.bool)
        if sample_weight is not None:  # samples without weight teach nothing
            candidates = everyone_if_nobody(sample_weight > 0)
        batch = Batch(
            losses=losses,
            disagree=differ,
            candidates=candidates,
            forget_rate=forget_rate,
            warming_up=keras.ops.cast(epochs_done, "int32") < self.warmup_epochs,
            labels=labels,
            class_floor=self.class_floor,
        )
        return Decision(UPDATES[self.update](batch), losses, forget_rate, differ, labels)

    def disagree(self, first: Any, second: Any) -> Any:
        """Where they predict different classes, shape (batch,); nowhere for values."""
        if self.outputs == "values":
            return keras.ops.zeros((keras.ops.shape(first)[0],), "bool")
        return disagreement(first, second, self.outputs)

    def values(self, outputs: tuple[Any, Any], losses: tuple[Any, Any]) -> tuple[Any, Any]:
        """What each network minimizes the mean of, each float32, shape (batch,).

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
