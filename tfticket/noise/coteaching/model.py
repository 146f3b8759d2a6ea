"""`CoTeaching`: two networks that select each other's samples, as one Keras model."""

from __future__ import annotations

import warnings
from typing import Any, Literal

import keras
import tensorflow as tf

from tfticket.errors import ModelError
from tfticket.noise.coteaching import checks
from tfticket.noise.coteaching.forget_rate import EpochClock, ForgetRate, Formula
from tfticket.noise.coteaching.metrics import TRAINING_ONLY, SelectionCounter, SelectionSummary
from tfticket.noise.coteaching.outputs import Outputs, class_count, mean_outputs
from tfticket.noise.coteaching.pair import PairModel, gradients, recording, regularization
from tfticket.noise.coteaching.selection import Selection, SelectionRule, Update
from tfticket.norms.layers.fused import fused_inference

Batches = Literal["whole", "reduced"]


@keras.saving.register_keras_serializable(package="tfticket")
class CoTeaching(PairModel):
    """Two networks that are trained on labels that may be wrong, each on what the other selects.

        pair = CoTeaching(build(seed=0), build(seed=1), forget_rate=0.4)
        pair.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        pair.fit(x, given_labels, epochs=20)
        network = pair.peers[0]

    In each step both networks make one forward pass; each selects the samples of small loss, and
    the *other* one is updated on them, by one backward pass and its own optimizer. Other rules are
    a word away (`update`). Called, it gives the prediction of the pair: the mean of their
    probabilities or values, or, where they give logits, the logits of the mean probability.

    Metrics of `compile` are reported for the pair, and with `first_` and `second_` for each
    network; besides, `loss` (of training: the mean of what the two minimize; of `evaluate`: of the
    pair), `first_loss`, `second_loss`, `disagreement`, and in training `forget_rate` and
    `keep_rate`. Sample and class weights weigh the losses of what was selected; a sample of weight
    0 is never selected, other weights don't change the selection. To study the selection give `fit`
    the labels as `{"given": ..., "true": ...}`; the true ones are only counted, see
    `SelectionMonitor`.

    Source: Han et al. (2018, arXiv:1804.06872), algorithm 1; `UPDATES` names those of the other
    rules. Unlike in the authors' programs, at least one sample is kept, the sum over the kept
    samples is divided by their number once, and with `jocor` each network has an optimizer of its
    own, which is the same for optimizers that treat each weight by itself.

    Args:
        first: Any Keras model with one output.
        second: Another one, that shares nothing with it and has other initial weights.
        forget_rate: Share of a batch to forget when the ramp has ended, in [0, 1): the noise rate,
            or an estimate of it. Or a whole `ForgetRate`; then the next three are ignored.
        gradual: Epochs of the ramp.
        exponent: c of the ramp.
        formula: `paper` or `official`; see `ForgetRate`.
        update: `coteaching`; `coteaching_plus`, only where they disagree; `jocor`, by their joint
            loss; `decoupling`, by disagreement alone; `plain`, on everything, as a baseline.
        warmup_epochs: Epochs in which `coteaching_plus` and `decoupling` ignore disagreement.
        agreement: Of `jocor`: weight of the divergence between the networks in the joint loss, in
            [0, 1). The authors use 0.9, and 0.65 to 0.85 on harder data.
        class_floor: Smallest share of each class in a batch that is kept, in [0, 1], and at least
            one of each; 0 is no floor, as in the paper. For imbalanced data.
        batch: `whole`, as in the paper; or `reduced`: a forward pass in inference mode selects, and
            the networks are trained on what was selected alone. Networks of convolutions take less
            time then from forget rates of about a third on. It is another algorithm: samples are
            selected under moving statistics and without dropout, and normalized with what was kept
            alone. Metrics of `compile` are of the inference pass. XLA isn't possible, since shapes
            change from step to step.
        outputs: What the networks give: `logits`, `probabilities`, or `values` of a regression;
            None infers it from the last layer of the first, which must be Sequential or Functional.
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
        self.rule = SelectionRule(
            forget_rate=forget_rate,
            update=update,
            warmup_epochs=warmup_epochs,
            agreement=agreement,
            class_floor=class_floor,
            outputs=self.kind,
        )
        checks.check_choice("batch", batch, ("whole", "reduced"))
        if batch == "reduced" and update == "plain":
            raise ModelError(
                "Batches can be reduced only where something is forgotten. Received: "
                f"batch={batch!r} with update={update!r}, which keeps everything. Leave `batch` "
                "out."
            )
        self.batch = batch
        self.supports_jit = batch == "whole"
        self.steps_per_epoch = steps_per_epoch
        self.clock = EpochClock(self, steps_per_epoch)
        # Factor of the forget rate, in [0, 1], which a monitor lowers.
        self.relief = self.add_weight(
            shape=(), dtype="float32", initializer="ones", trainable=False, name="relief"
        )
        self._counter: SelectionCounter | None = None

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
        """Train both networks, with the arguments of Keras' `fit`.

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
        epoch_start = _EpochStart()
        if isinstance(callbacks, keras.callbacks.CallbackList):
            epoch_start.set_params(callbacks.params)
            epoch_start.set_model(self)
            callbacks.append(epoch_start)
        else:
            callbacks = [epoch_start, *keras.tree.flatten(callbacks or [])]
        return super().fit(x, y, batch_size, epochs, verbose, callbacks, *args, **kwargs)

    def train_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        """Make one step, as in Keras; needs `steps_per_epoch`, or a `fit` before.

        Raises:
            ModelError: when the length of an epoch is unknown.
        """
        if not self.clock.is_set:
            self.clock.set_pace(None)
        return super().train_on_batch(*args, **kwargs)

    def train_step(self, data: Any) -> dict[str, Any]:
        """Update both networks on a batch: lines 3 to 8 of algorithm 1 of Han et al. (2018)."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        y, true = checks.split_truth(y)
        weight = checks.per_sample_weight(sample_weight)
        self.prepare(x)
        step = self._whole_batch if self.batch == "whole" else self._reduced_batch
        outputs, selection, objectives, slopes = step(x, y, weight)
        variables = [*self.first.trainable_variables, *self.second.trainable_variables]
        self.optimizer.apply(slopes, variables)
        self.clock.steps.assign_add(1)
        if self._counter is None:
            self._counter = SelectionCounter(class_count(tuple(outputs[0].shape), self.kind))
        counts = self._counter.update(selection, true)
        self.measure(
            y,
            outputs,
            losses=(*objectives, (objectives[0] + objectives[1]) / 2),
            disagreed=counts.disagreed,
            sample_weight=sample_weight,
            counts=counts,
        )
        results: dict[str, Any] = self.get_metrics_result()
        return results

    def _whole_batch(self, x: Any, y: Any, weight: Any) -> _Step:
        """Both networks predict the batch in training mode; what isn't selected has no gradient."""
        with recording(self.first) as tape, recording(self.second) as other_tape:
            outputs = self.both(x, training=True)
            selection = self._select(outputs, y, weight)
            objectives = self._objectives(
                selection.minimized, selection.masks[:2], (weight, weight)
            )
            scaled = self.optimizer.scale_both(objectives)
        return outputs, selection, objectives, self._gradients((tape, other_tape), scaled)

    def _reduced_batch(self, x: Any, y: Any, weight: Any) -> _Step:
        """Both networks predict the batch in inference mode, and train on what is selected alone.

        The more is forgotten the cheaper it is: of the backward pass and of the forward pass in
        training mode only the kept share is left, for one more forward pass.
        """
        with fused_inference():
            outputs = self.both(x, training=False)
        selection = self._select(outputs, y, weight)
        parts = [_taken((x, y, weight), mask) for mask in selection.masks[:2]]
        (x_f, y_f, weight_f), (x_g, y_g, weight_g) = parts
        with recording(self.first) as tape, recording(self.second) as other_tape:
            own = self.first(x_f, training=True), self.second(x_g, training=True)
            losses = self.per_sample.values(y_f, own[0]), self.per_sample.values(y_g, own[1])
            minimized = self.rule.minimized(own, losses)
            everything = tuple(tf.ones_like(each, tf.bool) for each in minimized)
            objectives = self._objectives(minimized, everything, (weight_f, weight_g))
            scaled = self.optimizer.scale_both(objectives)
        return outputs, selection, objectives, self._gradients((tape, other_tape), scaled)

    def _select(self, outputs: tuple[Any, Any], y: Any, weight: Any) -> Selection:
        """Each network selects R(T) of the batch by small loss (lines 4 and 5)."""
        return self.rule.select(
            outputs,
            (self.per_sample.values(y, outputs[0]), self.per_sample.values(y, outputs[1])),
            y=y,
            sample_weight=weight,
            epochs_done=self.clock.epochs_done(),
            relief=self.relief.value,
        )

    def _objectives(self, minimized: Any, masks: Any, weights: Any) -> tuple[Any, Any]:
        """The mean of each network over the samples it is updated on, and its regularization."""
        f, g = (
            self.per_sample.mean(values, kept, weight) + regularization(network)
            for values, kept, weight, network in zip(
                minimized, masks, weights, self.peers, strict=True
            )
        )
        return f, g

    def _gradients(self, tapes: Any, scaled: tuple[Any, Any]) -> list[Any]:
        """Of both networks (lines 6 and 7), of the objectives as the optimizers scale them."""
        f, g = (gradients(*each) for each in zip(tapes, scaled, self.peers, strict=True))
        return [*f, *g]

    def test_step(self, data: Any) -> dict[str, Any]:
        """Evaluate both networks, and the pair, on all samples."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        y, _ = checks.split_truth(y)
        weight = checks.per_sample_weight(sample_weight)
        outputs = self.both(x, training=False)
        means = []
        for each in (*outputs, mean_outputs(*outputs, self.kind)):
            values = self.per_sample.values(y, each)
            means.append(self.per_sample.mean(values, tf.ones_like(values, tf.bool), weight))
        added = [regularization(network) for network in self.peers]
        added.append((added[0] + added[1]) / 2)
        first, second, both = (mean + extra for mean, extra in zip(means, added, strict=True))
        disagreed = tf.reduce_sum(tf.cast(self.rule.disagree(*outputs), tf.float32))
        losses = (first, second, both)
        self.measure(y, outputs, losses=losses, disagreed=disagreed, sample_weight=sample_weight)
        results = self.get_metrics_result()
        return {name: results[name] for name in results if name not in TRAINING_ONLY}

    def selection(self) -> SelectionSummary | None:
        """Summarize the selections of the current or last epoch; None before the first step."""
        return None if self._counter is None else self._counter.summary()

    def begin_epoch(self, steps_per_epoch: int | None) -> None:
        """Set the pace and begin to count anew; `fit` does this.

        Args:
            steps_per_epoch: Length of the epoch.
        """
        self.clock.set_pace(steps_per_epoch)
        if self._counter is not None:
            self._counter.reset()

    def get_config(self) -> dict[str, Any]:
        """The arguments, both networks among them."""
        first, second = (keras.saving.serialize_keras_object(network) for network in self.peers)
        own = {"first": first, "second": second, "batch": self.batch}
        own["steps_per_epoch"] = self.steps_per_epoch
        return {**super().get_config(), **own, **self.rule.get_config()}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> CoTeaching:
        """Make the model again, with both networks."""
        config = dict(config)
        for name in ("first", "second", "forget_rate"):
            config[name] = keras.saving.deserialize_keras_object(config[name], custom_objects)
        return cls(**config)


_Step = tuple[tuple[Any, Any], Selection, tuple[Any, Any], list[Any]]
"""Outputs of both networks, the selection, what each minimizes, and all gradients."""


def _taken(samples: Any, mask: Any) -> Any:
    """The samples where the mask is True, in their order."""
    places = tf.reshape(tf.where(mask), (-1,))
    return keras.tree.map_structure(
        lambda part: None if part is None else tf.gather(part, places), samples
    )


class _EpochStart(keras.callbacks.Callback):
    """Tells a `CoTeaching` how long its epochs are, and lets it count anew with each."""

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Set the pace and refuse networks that would stay the same."""
        if not int(self.model.clock.steps.numpy()):
            checks.check_beginnings(*self.model.peers)
        self.model.begin_epoch(self.params.get("steps"))

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Forget the counts of the last epoch."""
        self.model.begin_epoch(self.params.get("steps"))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Warn of losses that aren't finite: inputs of a data set can't be looked at before."""
        summary = self.model.selection()
        if summary is not None and summary.not_finite:
            warnings.warn(
                f"{summary.not_finite:,} losses of epoch {epoch + 1} were NaN or infinite, of both "
                "networks together: one input that isn't finite makes NaN of all weights. Look for "
                "NaN among the inputs and for labels out of range, or lower the learning rate.",
                stacklevel=2,
            )
