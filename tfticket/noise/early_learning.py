"""`EarlyLearning`: a network that is held to what it predicted before it memorized wrong labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from scipy import special

from tfticket.errors import DataError, ModelError
from tfticket.internals import Functional, backing_variable, count_loss, training_loss
from tfticket.noise.coteaching import checks
from tfticket.noise.coteaching.outputs import (
    OUTPUTS,
    Outputs,
    class_count,
    class_logits,
    kind_of_outputs,
)
from tfticket.noise.ids import GIVEN, ID, check_ids, split_ids, weight_of
from tfticket.noise.seeded import SeededModel

_CLAMP = 1e-4
_QUANTILES = 1024


@keras.saving.register_keras_serializable(package="tfticket")
class EarlyLearning(SeededModel):
    """A network that is trained on labels that may be wrong, by early-learning regularization.

        model = EarlyLearning(network, examples=len(x))
        model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        model.fit(x, given_labels, epochs=20)

    A network predicts right labels for wrongly labelled examples before it memorizes the wrong
    ones. The running mean t_i of what it predicts for example i is its target; it minimizes

        loss + (strength / n) sum_i log(1 - <p_i, t_i>)
        t_i <- momentum t_i + (1 - momentum) p_i

    where p_i is clamped to [1e-4, 1 - 1e-4], and in the second line normalized to 1 after that. The
    gradient keeps on pulling towards the target where the label says something else. It needs
    neither the noise rate nor a second network. Called, it is the network, `model.network`.

    Targets belong to examples by their ids. For arrays in memory the ids are their places, so `fit`
    takes plain labels; batches of a data set have labels `{"given": ..., "id": ...}`. The targets
    are saved with the model, which goes on from its file with the same bits.

    With MixUp (Zhang et al. 2018, arXiv:1710.09412), inputs are mixed in pairs, m x_i + (1 - m) x_j
    with one m of a batch, the larger of a draw of Beta(mixup, mixup) and its complement; loss and
    targets of both are mixed alike. Targets come from a forward pass on the inputs as they are, in
    training mode, whose moving statistics are thrown away; a step takes about a third longer then.
    Reported metrics are of that pass.

    Source: Liu et al. (2020, arXiv:2007.00151), ELR with targets by temporal ensembling; clamping,
    and targets that are updated before they are used, are of the authors' program. Unlike there,
    sample weights weigh both terms; and of ELR+ there is MixUp alone: no second network whose
    predictions become targets, no ramp of `strength`; averaged weights are Keras' `use_ema`.

    Args:
        network: Any Keras model with one output of shape (batch, classes).
        examples: Number of training examples n; ids are in [0, n). Targets are n x classes floats.
        num_classes: Number of classes; None reads it off a built network.
        strength: lambda of the paper, at least 0: 3 for CIFAR-10, 7 for CIFAR-100.
        momentum: beta of the paper, in [0, 1): 0.7 for CIFAR-10, 0.9 for CIFAR-100.
        mixup: alpha of MixUp, at least 0; 0 is without. The paper uses 1.
        outputs: What the network gives, `logits` or `probabilities`; None infers it from its last
            layer, which must be of a Sequential or Functional model.
        seed: Random seed of MixUp; None draws one.
        **kwargs: As for `keras.Model`.

    Raises:
        ModelError: when a setting is outside its range or the network isn't a classifier.
        DataError: in `fit`, when labels carry no ids, or ids are out of range.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(60, 4)).astype("float32")
        >>> network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
        >>> model = EarlyLearning(network, examples=60, mixup=1.0, seed=0)
        >>> model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        >>> _ = model.fit(x, np.arange(60) % 3, epochs=2, verbose=0)
        >>> model.targets.shape, bool((model.targets.numpy().sum(axis=1) > 0).all())
        (TensorShape([60, 3]), True)
        >>> model.predict(x, verbose=0).shape
        (60, 3)
    """

    takes_ids = True

    def __init__(
        self,
        network: keras.Model,
        *,
        examples: int,
        num_classes: int | None = None,
        strength: float = 3.0,
        momentum: float = 0.7,
        mixup: float = 0.0,
        outputs: Outputs | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        if not isinstance(network, keras.Model):
            raise ModelError(f"`network` must be a Keras model. Received: {network!r}.")
        kind = kind_of_outputs(network) if outputs is None else outputs
        checks.check_choice("outputs", kind, OUTPUTS[:2])
        checks.check_between("momentum", momentum, below_one=True)
        if not (strength >= 0 and mixup >= 0):
            raise ModelError(
                f"`strength` is {strength} and `mixup` {mixup}; both must be at least 0."
            )
        if not isinstance(examples, (int, np.integer)) or examples < 1:
            raise ModelError(f"`examples` is {examples!r}; it must be a number of 1 or more.")
        kwargs.setdefault("dtype", network.dtype_policy)
        super().__init__(**kwargs)
        self.network = network
        self.examples = int(examples)
        self.num_classes = _classes_of(network, kind) if num_classes is None else num_classes
        self.strength = strength
        self.momentum = momentum
        self.mixup = mixup
        self.kind = kind
        self.seed = seed
        # One row more, for ids that are out of range: XLA would take the nearest that is.
        self._held = self.add_weight(
            shape=(self.examples + 1, self.num_classes),
            dtype="float32",
            initializer="zeros",
            trainable=False,
            name="targets",
        )
        if mixup:
            self._generator = keras.random.SeedGenerator(seed)
            even = (np.arange(_QUANTILES) + 0.5) / _QUANTILES
            shares = special.betaincinv(mixup, mixup, even)
            self._shares = np.maximum(shares, 1 - shares).astype(np.float32)
        # `call` never runs in training, so Keras couldn't know that there is nothing to build.
        self.built = network.built

    @property
    def targets(self) -> Any:
        """Target of each example, shape (n, classes), float32; 0 for those never seen."""
        return self._held[: self.examples]

    def build(self, input_shape: Any) -> None:
        """Build the network if it isn't."""
        if not self.network.built:
            self.network.build(input_shape)
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Return the outputs of the network."""
        return self.network(inputs, training=training)

    def fit(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Train the network, with the arguments of Keras' `fit`.

        Args:
            x: All n inputs, or a data set of (x, y) or (x, y, sample_weight).
            y: Given labels; or `{"given": ..., "id": ...}`, as batches of a data set must have it.
            *args: The rest, in Keras' order.
            **kwargs: The rest. Class weights aren't possible; give sample weights.

        Raises:
            DataError: when arrays are of another length than `examples`, labels or ids are out of
                range, or inputs in memory aren't finite.
            ModelError: when class weights are given.
        """
        if kwargs.get("class_weight") is not None:
            raise ModelError(
                "`class_weight` can't be given beside ids, a rule of Keras. Give `sample_weight`, "
                "a weight for each example: `weights[y]`."
            )
        if y is not None:
            y = self._identified(y)
            checks.check_labels(y[GIVEN], self.num_classes)
            check_ids(y[ID], self.examples)
        checks.check_inputs(x)
        history = super().fit(x, y, *args, **kwargs)
        self._check_targets()
        return history

    def _identified(self, y: Any) -> Mapping[str, Any]:
        """Labels with ids: places in the array where none are given."""
        if isinstance(y, Mapping):
            given, ids = split_ids(y, needed_by="EarlyLearning")
            return {GIVEN: given, ID: ids}
        if len(y) != self.examples:
            raise DataError(
                f"There are {len(y):,} labels, and the model was made for {self.examples:,} "
                "examples. Make it with `examples=len(x)`; or, to train on some of them only, "
                'give the labels as `{"given": y, "id": ids}`.'
            )
        return {GIVEN: y, ID: np.arange(self.examples)}

    def _check_targets(self) -> None:
        if np.any(np.asarray(self._held[self.examples])):
            raise DataError(
                f"Some ids were outside of [0, {self.examples:,}); the id of an example is its "
                "place in the data. Make the model with `examples=` the number of all of them."
            )

    def train_step(self, data: Any) -> dict[str, Any]:
        """Update the network on a batch, and its targets."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        y, ids = split_ids(y, needed_by="EarlyLearning")
        weight = checks.per_sample_weight(weight_of(sample_weight))
        if not self.built:
            self.network(x)
            self.built = True
        if self.mixup:
            loss, outputs = self._mixed_step(x, y, ids, weight)
        else:
            loss, outputs = self._plain_step(x, y, ids, weight)
        count_loss(self, loss, examples=tf.shape(outputs)[0])
        results: dict[str, Any] = self.compute_metrics(x, y, outputs, sample_weight=weight)
        return results

    def _plain_step(self, x: Any, y: Any, ids: Any, weight: Any) -> tuple[Any, Any]:
        """One pass; its predictions move the targets before they are held to them."""
        with tf.GradientTape() as tape:
            outputs = self.network(x, training=True)
            p = self._clamped(outputs)
            t = self._moved(ids, tf.stop_gradient(p))
            loss = training_loss(self, x, y, outputs, weight)
            loss += self._regularizer(p, t, weight)
            scaled = self.optimizer.scale_loss(loss)
        self._update(tape, scaled)
        return loss, outputs

    def _mixed_step(self, x: Any, y: Any, ids: Any, weight: Any) -> tuple[Any, Any]:
        """A pass on the inputs as they are, for targets, and one on mixed inputs, to learn from."""
        outputs, _ = self.network.stateless_call(
            [variable.value for variable in self.network.trainable_variables],
            [variable.value for variable in self.network.non_trainable_variables],
            x,
            training=True,
        )
        t = self._moved(ids, self._clamped(outputs))
        share, other = self._pairs(tf.shape(ids)[0])

        def mixed(part: Any) -> Any:
            m = tf.cast(share, part.dtype)
            return m * part + (1 - m) * tf.gather(part, other)

        with tf.GradientTape() as tape:
            mixed_outputs = self.network(_map_floats(mixed, x), training=True)
            others = None if weight is None else tf.gather(weight, other)
            losses = [
                training_loss(self, x, labels, mixed_outputs, weights)
                for labels, weights in ((y, weight), (tf.gather(y, other), others))
            ]
            loss = share * losses[0] + (1 - share) * losses[1]
            weights = None if weight is None else mixed(weight)
            loss += self._regularizer(self._clamped(mixed_outputs), mixed(t), weights)
            scaled = self.optimizer.scale_loss(loss)
        self._update(tape, scaled)
        return loss, outputs

    def _clamped(self, outputs: Any) -> Any:
        """P of the paper, float32, shape (batch, classes), in [1e-4, 1 - 1e-4]."""
        p = tf.nn.softmax(class_logits(outputs, self.kind))
        return tf.clip_by_value(p, _CLAMP, 1 - _CLAMP)

    def _moved(self, ids: Any, p: Any) -> Any:
        """Move the targets of a batch towards the predictions, and return them."""
        held = backing_variable(self._held)
        ids = tf.cast(tf.reshape(ids, (-1,)), tf.int64)
        ids = tf.where((ids >= 0) & (ids < self.examples), ids, self.examples)
        p /= tf.reduce_sum(p, axis=1, keepdims=True)
        t = self.momentum * tf.gather(held, ids) + (1 - self.momentum) * p
        held.scatter_update(tf.IndexedSlices(t, ids))
        return t

    def _regularizer(self, p: Any, t: Any, weight: Any) -> Any:
        """(strength / n) sum_i log(1 - <p_i, t_i>), the second term of the loss."""
        values = tf.math.log(1 - tf.reduce_sum(p * t, axis=1))
        return self.strength * tf.reduce_mean(values if weight is None else weight * values)

    def _pairs(self, count: Any) -> tuple[Any, Any]:
        """Draw the share of the first of each pair, a scalar, and who the others are."""
        draws = keras.random.uniform((2,), seed=self._generator)
        place = tf.cast(draws[0] * _QUANTILES, tf.int32)
        share = tf.gather(self._shares, tf.minimum(place, _QUANTILES - 1))
        order = keras.random.uniform((count,), seed=self._generator)
        return share, tf.argsort(order)

    def _update(self, tape: Any, scaled: Any) -> None:
        variables = self.network.trainable_variables
        self.optimizer.apply(tape.gradient(scaled, variables), variables)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """The loss of `compile` and what layers add; ids that come with the labels are ignored."""
        return super().compute_loss(x, _given(y), y_pred, weight_of(sample_weight), training)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The metrics of `compile`; ids that come with the labels are ignored."""
        return super().compute_metrics(x, _given(y), y_pred, weight_of(sample_weight))

    def get_config(self) -> dict[str, Any]:
        """The arguments, the network among them."""
        names = ("examples", "num_classes", "strength", "momentum", "mixup", "seed")
        own = {name: getattr(self, name) for name in names}
        network = keras.saving.serialize_keras_object(self.network)
        return {**super().get_config(), **own, "network": network, "outputs": self.kind}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> EarlyLearning:
        """Make the model again, with its network."""
        network = keras.saving.deserialize_keras_object(config["network"], custom_objects)
        return cls(**{**config, "network": network})


def _given(y: Any) -> Any:
    return y[GIVEN] if isinstance(y, Mapping) else y


def _classes_of(network: keras.Model, kind: Outputs) -> int:
    """Number of classes, read off a built network."""
    known = isinstance(network, (keras.Sequential, Functional)) and network.built
    shape = network.output_shape if known else None
    if not isinstance(shape, tuple) or len(shape) != 2 or shape[1] is None:
        raise ModelError(
            f"The number of classes can't be read off {network.name!r}, whose outputs have the "
            f"shape {shape}. It must give one output of shape (batch, classes); say "
            "`num_classes=` for a subclassed network or one that isn't built."
        )
    count = class_count(shape, kind)
    assert count is not None
    return count


def _map_floats(function: Any, x: Any) -> Any:
    """Apply a function to each input, which must be floats."""
    for part in keras.tree.flatten(x):
        if not part.dtype.is_floating:
            raise ModelError(
                f"MixUp takes means of inputs, which are {part.dtype.name} here. Give floats: "
                "scale images before, and mix what is counted or named not at all (`mixup=0`)."
            )
    return keras.tree.map_structure(function, x)
