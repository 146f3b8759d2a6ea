"""`CoTeaching`: two networks that choose each other's samples, as one Keras model."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from tfticket.errors import ModelError
from tfticket.noisy import checks
from tfticket.noisy.clock import Clock
from tfticket.noisy.forgetting import ForgetRate, Formula
from tfticket.noisy.outputs import Outputs, class_count, class_ids, mean_outputs
from tfticket.noisy.pair_model import PairModel
from tfticket.noisy.rule import Decision, Rule
from tfticket.noisy.session import EpochKeeper
from tfticket.noisy.tally import SelectionSummary, Tally
from tfticket.noisy.truth import split_truth
from tfticket.noisy.updates import Update


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

    Source: Han et al. (2018, arXiv:1804.06872), algorithm 1; see `tfticket.noisy.updates` for the
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
        self.steps_per_epoch = steps_per_epoch
        self.clock = Clock(self, steps_per_epoch)
        # What a monitor multiplies the forget rate by, in [0, 1].
        self.relief = self.add_weight(
            shape=(), dtype="float32", initializer="ones", trainable=False, name="relief"
        )
        self._tally: Tally | None = None
        self._knows_truth = False

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
            DataError: when labels in memory are out of range.
        """
        checks.check_labels(y, self.classes)
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
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        y, true = split_truth(y)
        self._prepare(x)
        with _recording(self.first) as tape, _recording(self.second) as other_tape:
            outputs = self.both(x, training=True)
            losses = self.per_sample.values(y, outputs[0]), self.per_sample.values(y, outputs[1])
            decision = self._decide(outputs, losses, y, sample_weight)
            objectives = self._objectives(decision, sample_weight)
            scaled = self.optimizer.scale_both(objectives)
        variables = [network.trainable_variables for network in self.peers]
        gradients = [
            *tape.gradient(scaled[0], [v.value for v in variables[0]]),
            *other_tape.gradient(scaled[1], [v.value for v in variables[1]]),
        ]
        self.optimizer.apply(gradients, [*variables[0], *variables[1]])
        self.clock.steps.assign_add(1)
        self._count(decision, losses, outputs, true)
        self._measure(y, outputs, sample_weight, decision.disagree, objectives)
        self.scoreboard.update_selection(decision.choice, decision.forget_rate)
        return self.get_metrics_result()

    def test_step(self, data: Any) -> dict[str, Any]:
        """Evaluates both networks, and what they say together, on all samples."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        y, _ = split_truth(y)
        weight = _sample_weights(sample_weight)
        outputs = self.both(x, training=False)
        together = mean_outputs(*outputs, self.kind)
        means = []
        for each in (*outputs, together):
            values = self.per_sample.values(y, each)
            means.append(self.per_sample.mean(values, tf.ones_like(values, tf.bool), weight))
        extra = [_regularization(network) for network in self.peers]
        objectives = (means[0] + extra[0], means[1] + extra[1])
        loss = means[2] + (extra[0] + extra[1]) / 2
        self._measure(y, outputs, sample_weight, self.rule.disagree(*outputs), objectives, loss)
        training_only = ("forget_rate", "keep_rate")
        results = self.get_metrics_result()
        return {name: value for name, value in results.items() if name not in training_only}

    def selection(self) -> SelectionSummary | None:
        """What the selections of the current or last epoch did; None before the first step."""
        return None if self._tally is None else self._tally.summary(truth=self._knows_truth)

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
        own = {"first": first, "second": second, "steps_per_epoch": self.steps_per_epoch}
        return {**super().get_config(), **own, **self.rule.get_config()}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> CoTeaching:
        """Makes the model again, with both networks."""
        config = dict(config)
        for name in ("first", "second", "forget_rate"):
            config[name] = keras.saving.deserialize_keras_object(config[name], custom_objects)
        return cls(**config)

    def _prepare(self, x: Any) -> None:
        """Makes what subclassed networks and optimizers make only when they first see data."""
        if not self.built:
            self.both(x, training=False)
            self.built = True
        self.optimizer.build(self.trainable_variables)

    def _decide(
        self, outputs: tuple[Any, Any], losses: tuple[Any, Any], y: Any, sample_weight: Any
    ) -> Decision:
        return self.rule.decide(
            outputs,
            losses,
            y=y,
            sample_weight=_sample_weights(sample_weight),
            epochs_done=self.clock.epochs_done(),
            relief=self.relief.value,
        )

    def _objectives(self, decision: Decision, sample_weight: Any) -> tuple[Any, Any]:
        """What each network minimizes: the mean over its samples, and its own regularization."""
        weight, mean, choice = _sample_weights(sample_weight), self.per_sample.mean, decision.choice
        first = mean(decision.values[0], choice.first, weight) + _regularization(self.first)
        second = mean(decision.values[1], choice.second, weight) + _regularization(self.second)
        return first, second

    def _count(
        self, decision: Decision, losses: tuple[Any, Any], outputs: tuple[Any, Any], true: Any
    ) -> None:
        classes = class_count(tuple(outputs[0].shape), self.kind)
        right = None
        if true is not None and decision.labels is not None:
            right = decision.labels == class_ids(true, classes)
        self._knows_truth = right is not None
        if self._tally is None:
            self._tally = Tally(classes)
        self._tally.update(
            decision.choice,
            losses=losses,
            forget_rate=decision.forget_rate,
            disagree=decision.disagree,
            labels=decision.labels,
            right=right,
        )

    def _measure(
        self,
        y: Any,
        outputs: tuple[Any, Any],
        sample_weight: Any,
        disagree: Any,
        objectives: tuple[Any, Any],
        loss: Any = None,
    ) -> None:
        loss = (objectives[0] + objectives[1]) / 2 if loss is None else loss
        self._loss_tracker.update_state(loss, sample_weight=tf.shape(outputs[0])[0])
        self.scoreboard.update(
            y,
            {"": mean_outputs(*outputs, self.kind), "first": outputs[0], "second": outputs[1]},
            losses=objectives,
            disagree=None if self.kind == "values" else disagree,
            sample_weight=sample_weight,
        )


@contextlib.contextmanager
def _recording(network: keras.Model) -> Iterator[tf.GradientTape]:
    """A tape that knows one network: its backward pass ends there, whatever the objective says."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch([variable.value for variable in network.trainable_variables])
        yield tape


def _regularization(network: keras.Model) -> Any:
    """The sum of what its layers added to the loss, float32."""
    added = [keras.ops.sum(keras.ops.cast(loss, "float32")) for loss in network.losses]
    return tf.add_n(added) if added else tf.zeros(())


def _sample_weights(sample_weight: Any) -> Any:
    """The weights, float32, shape (batch,), or None."""
    if sample_weight is None:
        return None
    shape = tuple(sample_weight.shape)
    if len(shape) > 2 or (len(shape) == 2 and shape[1] != 1):
        raise ModelError(
            "Samples are selected whole, so a weight must belong to a sample: shape (batch,). "
            f"Received: shape {shape}."
        )
    return keras.ops.cast(keras.ops.reshape(sample_weight, (-1,)), "float32")
