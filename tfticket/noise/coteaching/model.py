"""`CoTeaching`: two networks that choose each other's samples, as one Keras model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal, NamedTuple

import keras
import tensorflow as tf

from tfticket.noise.coteaching import checks
from tfticket.noise.coteaching.checks import EpochKeeper, split_truth
from tfticket.noise.coteaching.forget_rate import Clock, ForgetRate, Formula
from tfticket.noise.coteaching.metrics import TRAINING_ONLY, SelectionSummary, Tally, count
from tfticket.noise.coteaching.outputs import (
    Outputs,
    class_count,
    mean_outputs,
)
from tfticket.noise.coteaching.pair import (
    PairModel,
    gradients,
    recording,
    regularization,
    sample_weights,
)
from tfticket.noise.coteaching.selection import (
    Decision,
    Rule,
    Update,
)
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


@keras.saving.register_keras_serializable(package="tfticket")
class CoTeaching(PairModel):
    """Trains two networks on labels that may be wrong.

        pair = CoTeaching(build(seed=0), build(seed=1), forget_rate=0.4)
        pair.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        pair.fit(x, given_labels, epochs=20)
        network = pair.peers[0]

    In each step both networks make one forward pass; each believes the samples of small loss, and
    is updated on those that the *other* believes, by one backward pass and its own optimizer. Other
    rules are a word away (`update`). Called, it gives what the two say together: the mean of their
    probabilities or values, or, where they give logits, the logits of the mean probability.

    Metrics of `compile` are reported for the two together, and with `first_` and `second_` for
    each; besides, `loss` (of training: the mean of what the two minimize; of `evaluate`: of the two
    together), `first_loss`, `second_loss`, `disagreement`, and in training `forget_rate` and
    `keep_rate`. Sample and class weights weigh the losses of what was selected; a sample of weight
    0 is never selected, other weights don't change who is. To study the selection give `fit` the
    labels as `{"given": ..., "true": ...}`; the true ones are only counted, see `SelectionMonitor`.

    Source: Han et al. (2018, arXiv:1804.06872), algorithm 1; see `...coteaching.selection` for the
    others. Unlike in the authors' programs, at least one sample is kept, the sum over the kept
    samples is divided by their number once, and with `jocor` each network has an optimizer of its
    own, which is the same for optimizers that treat each weight by itself.

    Args:
        first: Any Keras model with one output.
        second: Another one, that shares nothing with it and begins elsewhere.
        forget_rate: Share of a batch to forget when the ramp has ended, in [0, 1): the noise rate,
            or an estimate of it. Or a whole `ForgetRate`; then the next three aren't looked at.
        gradual: Epochs of the ramp.
        exponent: c of the ramp.
        formula: `paper` or `official`; see `ForgetRate`.
        update: `coteaching`; `coteaching_plus`, only where they disagree; `jocor`, by their joint
            loss; `decoupling`, by disagreement alone; `plain`, on everything, as a baseline.
        warmup_epochs: Epochs before `coteaching_plus` and `decoupling` look at disagreement.
        agreement: Of `jocor`: weight of the divergence between the networks in the joint loss, in
            [0, 1). The authors use 0.9, and 0.65 to 0.85 on harder data.
        class_floor: Smallest share of each class in a batch that is kept, in [0, 1], and at least
            one of each; 0 is no floor, as in the paper. For imbalanced data.
        batch: `whole`, as in the paper; or `reduced`: a forward pass in inference mode selects, and
            networks are trained on what was selected alone. Networks of convolutions take less time
            then from forget rates of about a third on; it is another algorithm, see
            `ReducedBatch`. Metrics of `compile` are of the inference pass.
        outputs: What the networks give: `logits`, `probabilities`, or `values` of a regression;
            None looks at the last layer of the first, which must then be Sequential or Functional.
        steps_per_epoch: Where training isn't by `fit`, or its data has no known length.
        **kwargs: As for `keras.Model`.

    Raises:
        ModelError: when settings are outside their ranges or the networks share variables.
    """

    def __init__(
        self,
        first: keras.Model,
        second: keras.Model,
        *,
        forget_rate: float | ForgetRate,
        gradual: int = 10,
        exponent: float = 1.0,
        formula: Formula = "paper",
        update: Update = "coteaching",
        warmup_epochs: int = 0,
        agreement: float = 0.9,
        class_floor: float = 0.0,
        batch: Batches = "whole",
        outputs: Outputs | None = None,
        steps_per_epoch: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(first, second, outputs=outputs, **kwargs)
        if not isinstance(forget_rate, ForgetRate):
            forget_rate = ForgetRate(forget_rate, gradual, exponent, formula)
        self.rule = Rule(
            forget_rate=forget_rate,
            update=update,
            warmup_epochs=warmup_epochs,
            agreement=agreement,
            class_floor=class_floor,
            outputs=self.kind,
        )
        checks.check_batch(batch, update)
        self.batch = batch
        self.supports_jit = PASSES[batch].static
        self.steps_per_epoch = steps_per_epoch
        self.clock = Clock(self, steps_per_epoch)
        # What a monitor multiplies the forget rate by, in [0, 1].
        self.relief = self.add_weight(
            shape=(), dtype="float32", initializer="ones", trainable=False, name="relief"
        )
        self._tally: Tally | None = None

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        *args: Any,
        **kwargs: Any,
    ) -> keras.callbacks.History:
        """Trains both networks, with the arguments of Keras' `fit`.

        Args:
            x: Inputs, or a data set of (x, y) or (x, y, sample_weight).
            y: Given labels; or `{"given": ..., "true": ...}` to study the selection. The true ones
                never reach a network.
            batch_size: As in Keras.
            epochs: As in Keras.
            verbose: As in Keras.
            callbacks: As in Keras.
            *args: The rest, in Keras' order.
            **kwargs: The rest.

        Raises:
            ModelError: when both networks begin with the same weights, or the length of an epoch
                is unknown.
            DataError: when labels in memory are out of range, or inputs in memory aren't finite.
        """
        if self.compiled:
            checks.check_labels(y, self.classes, signed=self.per_sample.takes_signs)
        checks.check_inputs(x)
        keeper = EpochKeeper()
        if isinstance(callbacks, keras.callbacks.CallbackList):
            keeper.set_params(callbacks.params)
            keeper.set_model(self)
            callbacks.append(keeper)
        else:
            callbacks = [keeper, *keras.tree.flatten(callbacks or [])]
        return super().fit(x, y, batch_size, epochs, verbose, callbacks, *args, **kwargs)

    def train_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        """One step, as in Keras; needs `steps_per_epoch` of the constructor, or a `fit` before.

        Raises:
            ModelError: when the length of an epoch is unknown.
        """
        if not self.clock.is_set:
            self.clock.set_pace(None)
        return super().train_on_batch(*args, **kwargs)

    def train_step(self, data: Any) -> dict[str, Any]:
        """One step of both networks: a forward and a backward pass each."""
        x, y, given_weight = keras.utils.unpack_x_y_sample_weight(data)
        y, true = split_truth(y)
        weight = sample_weights(given_weight)
        self.prepare(x)
        passed = PASSES[self.batch](
            self,
            self.rule,
            Samples(x, y, weight),
            Moment(self.clock.epochs_done(), self.relief.value),
        )
        variables = [*self.first.trainable_variables, *self.second.trainable_variables]
        self.optimizer.apply(passed.gradients, variables)
        self.clock.steps.assign_add(1)
        if self._tally is None:
            self._tally = Tally(class_count(tuple(passed.outputs[0].shape), self.kind))
        forget_rate = passed.decision.forget_rate
        counts = count(passed.decision, passed.losses, true, self._tally.classes)
        self._tally.update(counts, forget_rate)
        loss = (passed.objectives[0] + passed.objectives[1]) / 2
        self.measure(
            y,
            passed.outputs,
            losses=(*passed.objectives, loss),
            disagreed=counts.disagreed,
            sample_weight=given_weight,
            selection=(counts, forget_rate),
        )
        return self.get_metrics_result()

    def test_step(self, data: Any) -> dict[str, Any]:
        """Evaluates both networks, and what they say together, on all samples."""
        x, y, given_weight = keras.utils.unpack_x_y_sample_weight(data)
        y, _ = split_truth(y)
        weight = sample_weights(given_weight)
        outputs = self.both(x, training=False)
        means = []
        for each in (*outputs, mean_outputs(*outputs, self.kind)):
            values = self.per_sample.values(y, each)
            means.append(self.per_sample.mean(values, tf.ones_like(values, tf.bool), weight))
        added = [regularization(network) for network in self.peers]
        added.append((added[0] + added[1]) / 2)
        losses = tuple(mean + extra for mean, extra in zip(means, added, strict=True))
        disagreed = tf.reduce_sum(tf.cast(self.rule.disagree(*outputs), tf.float32))
        self.measure(y, outputs, losses=losses, disagreed=disagreed, sample_weight=given_weight)
        results = self.get_metrics_result()
        return {name: results[name] for name in results if name not in TRAINING_ONLY}

    def selection(self) -> SelectionSummary | None:
        """What the selections of the current or last epoch did; None before the first step."""
        return None if self._tally is None else self._tally.summary()

    def begin_epoch(self, steps_per_epoch: int | None) -> None:
        """Sets the pace and begins to count anew; `fit` does this.

        Args:
            steps_per_epoch: How long the epoch will be.
        """
        self.clock.set_pace(steps_per_epoch)
        if self._tally is not None:
            self._tally.reset()

    def get_config(self) -> dict[str, Any]:
        """The arguments, both networks among them."""
        first, second = (keras.saving.serialize_keras_object(network) for network in self.peers)
        own = {"first": first, "second": second, "batch": self.batch}
        own["steps_per_epoch"] = self.steps_per_epoch
        return {**super().get_config(), **own, **self.rule.get_config()}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> CoTeaching:
        """Makes the model again, with both networks."""
        config = dict(config)
        for name in ("first", "second", "forget_rate"):
            config[name] = keras.saving.deserialize_keras_object(config[name], custom_objects)
        return cls(**config)
