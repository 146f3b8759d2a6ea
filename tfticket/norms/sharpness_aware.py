"""`SharpnessAware`: a network whose steps descend from the worst point nearby."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfticket.errors import ModelError
from tfticket.internals import count_loss, training_loss
from tfticket.norms.landscape.probe import norm, unpruned

_LEAST = 0.01  # eta of adaptive minimization: weights of 0 are moved too


@keras.saving.register_keras_serializable(package="tfticket")
class SharpnessAware(keras.Model):
    """A network that is trained by sharpness-aware minimization, under plain `compile` and `fit`.

        model = SharpnessAware(network)
        model.compile(keras.optimizers.SGD(0.1), loss)
        model.fit(x, y)

    Each step takes the gradient g of the batch at the weights w, and gives the optimizer the
    gradient of the same batch at w + e, with

        e = rho g / ||g||                           SAM
        e = rho T^2 g / ||T g||,  T = |w| + 0.01    adaptive (ASAM): e scales with the weights

    where all trainable weights are one flat vector. A step takes about twice as long. Loss and
    metrics are reported at w. Moving statistics come from the pass at w, and the pass at w + e has
    the same dropout masks: the two are one function. Pruned weights aren't moved, nor counted in
    the norms. Called, it is the network, `model.network`.

    Source: Foret et al. (2021, arXiv:2010.01412), algorithm 1 with p = 2 and the gradient at w + e
    without second-order terms; Kwon et al. (2021, arXiv:2102.11600), algorithm 1. The whole batch
    has one e; in the first paper each accelerator has its own.

    Args:
        network: Any Keras model.
        rho: Distance of the worst point, above 0; None for the papers' 0.05, or 0.5 if adaptive.
        adaptive: Whether distances are relative to the weights.
        **kwargs: As for `keras.Model`.

    Raises:
        ModelError: when `network` is no model or `rho` isn't above 0.

    Example:
        >>> network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
        >>> model = SharpnessAware(network, rho=0.1)
        >>> model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        >>> _ = model.fit(np.ones((6, 4)), np.arange(6) % 3, verbose=0)
        >>> model.predict(np.ones((2, 4)), verbose=0).shape
        (2, 3)
    """

    def __init__(
        self,
        network: keras.Model,
        *,
        rho: float | None = None,
        adaptive: bool = False,
        **kwargs: Any,
    ) -> None:
        if not isinstance(network, keras.Model):
            raise ModelError(f"`network` must be a Keras model. Received: {network!r}.")
        rho = (0.5 if adaptive else 0.05) if rho is None else rho
        if not rho > 0:
            raise ModelError(f"`rho` is {rho}; it is a distance and must be above 0.")
        kwargs.setdefault("dtype", network.dtype_policy)
        super().__init__(**kwargs)
        self.network = network
        self.rho = rho
        self.adaptive = adaptive
        self.built = network.built

    def build(self, input_shape: Any) -> None:
        """Build the network if it isn't."""
        if not self.network.built:
            self.network.build(input_shape)
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Return the outputs of the network."""
        return self.network(inputs, training=training)

    def train_step(self, data: Any) -> dict[str, Any]:
        """Update the network by the gradient at the worst point near its weights."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        variables = self.trainable_variables
        # Read before the first pass writes to them: the second sees the same dropout masks.
        others = [(v, tf.identity(v.value)) for v in self.non_trainable_variables]
        with tf.GradientTape() as tape:
            outputs = self(x, training=True)
            loss = training_loss(self, x, y, outputs, sample_weight)
            scaled = self.optimizer.scale_loss(loss)
        worst = self._worst(tape.gradient(scaled, variables))
        with tf.GradientTape() as tape:
            tape.watch(worst)
            mapping = [*zip(variables, worst, strict=True), *others]
            with keras.StatelessScope(mapping, collect_losses=True):
                there = self(x, training=True)
                loss_there = training_loss(self, x, y, there, sample_weight)
            scaled = self.optimizer.scale_loss(loss_there)
        self.optimizer.apply(tape.gradient(scaled, worst), variables)
        count_loss(self, loss, examples=tf.shape(keras.tree.flatten(x)[0])[0])
        results: dict[str, Any] = self.compute_metrics(x, y, outputs, sample_weight=sample_weight)
        return results

    def _worst(self, gradients: list[Any]) -> list[tf.Tensor]:
        """Return w + e for each trainable variable; a scale of the gradients drops out."""
        weights = [tf.convert_to_tensor(variable.value) for variable in self.trainable_variables]
        g = [
            tf.zeros_like(w) if found is None else unpruned(v, tf.convert_to_tensor(found))
            for v, w, found in zip(self.trainable_variables, weights, gradients, strict=True)
        ]
        t = [tf.abs(w) + _LEAST if self.adaptive else tf.ones_like(w) for w in weights]
        distance = norm([a * b for a, b in zip(t, g, strict=True)])
        factor = self.rho * tf.math.divide_no_nan(tf.ones_like(distance), distance)
        return [w + factor * a**2 * b for w, a, b in zip(weights, t, g, strict=True)]

    def get_config(self) -> dict[str, Any]:
        """The arguments, the network among them."""
        network = keras.saving.serialize_keras_object(self.network)
        own = {"network": network, "rho": self.rho, "adaptive": self.adaptive}
        return {**super().get_config(), **own}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> SharpnessAware:
        """Make the model again, with its network."""
        network = keras.saving.deserialize_keras_object(config["network"], custom_objects)
        return cls(**{**config, "network": network})
