"""How a step of two networks goes through its batch: as a whole, or those samples that teach."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal, NamedTuple

import keras
import tensorflow as tf

from tfticket.noisy.pair_model import PairModel
from tfticket.noisy.passes import gradients, recording, regularization
from tfticket.noisy.rule import Decision, Rule
from tfticket.norms.layers.fused import fused_inference

Batches = Literal["whole", "reduced"]


class Samples(NamedTuple):
    """A batch.

    Attributes:
        x: Inputs, as the networks take them; tensors of shape (batch, ...).
        y: Given labels, shape (batch, ...).
        weight: Float32, shape (batch,), or None.
    """

    x: Any
    y: Any
    weight: Any

    def taken(self, mask: Any) -> Samples:
        """Those where the mask is True, in their order."""
        places = tf.reshape(tf.where(mask), (-1,))
        x, y = keras.tree.map_structure(lambda part: tf.gather(part, places), (self.x, self.y))
        return Samples(x, y, None if self.weight is None else tf.gather(self.weight, places))


class Moment(NamedTuple):
    """Where in training a step is.

    Attributes:
        epochs_done: Whole epochs done, integer scalar.
        relief: What the forget rate is multiplied by, scalar in [0, 1].
    """

    epochs_done: Any
    relief: Any


class Passed(NamedTuple):
    """What a step has found out.

    Attributes:
        decision: Who was selected.
        outputs: What both networks say of the whole batch.
        losses: Of the whole batch, of both networks, each float32, shape (batch,).
        objectives: What each network minimizes, scalars, unscaled.
        gradients: For the trainable variables of the first and then of the second network, of the
            objectives as the optimizers scale them.
    """

    decision: Decision
    outputs: tuple[Any, Any]
    losses: tuple[Any, Any]
    objectives: tuple[Any, Any]
    gradients: list[Any]


class BatchPasses(ABC):
    """Forward and backward passes of two networks over one batch.

    Attributes:
        static: Whether all shapes are known when the step is traced, as XLA needs them.
    """

    static: ClassVar[bool]

    @abstractmethod
    def __call__(self, pair: PairModel, rule: Rule, samples: Samples, moment: Moment) -> Passed:
        """Selects, and finds the gradients; nothing is updated but moving statistics and seeds."""


class WholeBatch(BatchPasses):
    """One forward pass of everything, in training mode; what isn't selected has no gradient.

    Source: Han et al. (2018, arXiv:1804.06872), algorithm 1: the losses that select are those that
    are minimized.
    """

    static = True

    def __call__(self, pair: PairModel, rule: Rule, samples: Samples, moment: Moment) -> Passed:
        """See `BatchPasses`."""
        with recording(pair.first) as tape, recording(pair.second) as other_tape:
            outputs = pair.both(samples.x, training=True)
            losses = _losses(pair, (samples, samples), outputs)
            decision = _decide(rule, outputs, losses, samples, moment)
            kept = decision.choice.first, decision.choice.second
            objectives = _objectives(pair, decision.values, kept, (samples.weight,) * 2)
            scaled = pair.optimizer.scale_both(objectives)
        slopes = _slopes(pair, (tape, other_tape), scaled)
        return Passed(decision, outputs, losses, objectives, slopes)


class ReducedBatch(BatchPasses):
    """A forward pass of everything in inference mode selects; only the selected are trained on.

    The more is forgotten the cheaper it is: of the backward pass and of the forward pass in
    training mode only the kept share is left, for one more forward pass. It is another algorithm:
    samples are selected under moving statistics and without dropout, and normalized with what was
    kept alone. Without these two it is the same as with whole batches, up to rounding.

    How many are kept changes from step to step, and so do shapes. XLA would compute with the
    largest there can be, and nothing would be saved, so it is refused; dense networks, which it
    suits, are faster with whole batches.
    """

    static = False

    def __call__(self, pair: PairModel, rule: Rule, samples: Samples, moment: Moment) -> Passed:
        """See `BatchPasses`."""
        with fused_inference():
            outputs = pair.both(samples.x, training=False)
        losses = _losses(pair, (samples, samples), outputs)
        decision = _decide(rule, outputs, losses, samples, moment)
        choice = decision.choice
        taken = samples.taken(choice.first), samples.taken(choice.second)
        with recording(pair.first) as tape, recording(pair.second) as other_tape:
            said = pair.first(taken[0].x, training=True), pair.second(taken[1].x, training=True)
            values = rule.values(said, _losses(pair, taken, said))
            everyone = tuple(tf.ones_like(each, tf.bool) for each in values)
            weights = taken[0].weight, taken[1].weight
            objectives = _objectives(pair, values, everyone, weights)
            scaled = pair.optimizer.scale_both(objectives)
        slopes = _slopes(pair, (tape, other_tape), scaled)
        return Passed(decision, outputs, losses, objectives, slopes)


PASSES: dict[str, BatchPasses] = {"whole": WholeBatch(), "reduced": ReducedBatch()}


def _losses(pair: PairModel, samples: tuple[Samples, Samples], outputs: Any) -> tuple[Any, Any]:
    values = pair.per_sample.values
    return values(samples[0].y, outputs[0]), values(samples[1].y, outputs[1])


def _decide(
    rule: Rule, outputs: Any, losses: tuple[Any, Any], samples: Samples, moment: Moment
) -> Decision:
    return rule.decide(
        outputs, losses, y=samples.y, sample_weight=samples.weight, **moment._asdict()
    )


def _objectives(
    pair: PairModel, values: tuple[Any, Any], kept: Any, weights: tuple[Any, Any]
) -> tuple[Any, Any]:
    """What each network minimizes: the mean over its samples, and its own regularization."""
    mean = pair.per_sample.mean
    first = mean(values[0], kept[0], weights[0]) + regularization(pair.first)
    second = mean(values[1], kept[1], weights[1]) + regularization(pair.second)
    return first, second


def _slopes(
    pair: PairModel, tapes: tuple[tf.GradientTape, tf.GradientTape], scaled: tuple[Any, Any]
) -> list[Any]:
    own = gradients(tapes[0], scaled[0], pair.first)
    return [*own, *gradients(tapes[1], scaled[1], pair.second)]
