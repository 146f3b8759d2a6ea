"""The training loss and its gradient at any weights, without changing the model: a probe.

A probe leaves no trace. The model is called in training mode inside a `keras.StatelessScope`: it
computes with the weights that are passed, what it writes (moving statistics, states of seed
generators, metrics) is caught and thrown away, and its own variables are only read. Since the seed
states go in as they are, every probe sees the dropout masks of the coming training step.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfticket.errors import ModelError
from tfticket.internals import flat_layers, takes_training, training_loss
from tfticket.sparsity.constraint import MaskConstraint, masked
from tfticket.state import optimizer_variables

_TOO_COARSE = {"float16", "bfloat16"}
Weights = Sequence[tf.Tensor]
"""A value for each trainable variable, in the order of `model.trainable_variables`."""


class Probe:
    """The training loss of a compiled model and its gradient as functions of the weights.

    The loss is that of `fit`: `compute_loss` with sample weights, regularization and `add_loss`,
    without the loss scale of mixed precision. A model of mixed precision is evaluated in float32
    throughout: differences of float16 gradients would be rounding.

    Args:
        model: A compiled and built model whose variables are float32 or float64.

    Raises:
        ModelError: when the model can't be probed.
    """

    def __init__(self, model: keras.Model) -> None:
        _check(model)
        optimizer_variables(model)  # are made now, so that a step can be taken back
        self.model = model
        self.variables = list(model.trainable_variables)

    def weights(self) -> list[tf.Tensor]:
        """Return the model's current weights."""
        return [tf.convert_to_tensor(variable.value) for variable in self.variables]

    def loss(self, weights: Weights, batch: Any) -> tf.Tensor:
        """Return the training loss of a batch at the given weights, a scalar.

        Args:
            weights: See `Weights`.
            batch: x, (x, y) or (x, y, sample_weight), as the data set yields it.
        """
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(batch)
        mapping = zip(self.variables, weights, strict=True)
        with keras.StatelessScope(mapping, collect_losses=True), _in_full_precision(self.model):
            # Layers without a `training` argument take none.
            options = {"training": True} if takes_training(self.model) else {}
            y_pred = self.model(x, **options)
            return training_loss(self.model, x, y, y_pred, sample_weight)

    def gradient(
        self, weights: Weights, batch: Any, *, of: Sequence[int] | None = None
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Return loss and gradient at the given weights; that of pruned weights is 0.

        Args:
            weights: See `Weights`.
            batch: As for `loss`.
            of: Places of the variables to differentiate; all if None. The backward pass ends at the
                first of them.
        """
        places = range(len(weights)) if of is None else of
        watched = [weights[place] for place in places]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(watched)
            loss = self.loss(weights, batch)
        gradients = tape.gradient(loss, watched, unconnected_gradients="zero")
        kept = [
            unpruned(self.variables[place], tf.convert_to_tensor(gradient))
            for place, gradient in zip(places, gradients, strict=True)
        ]
        return tf.cast(loss, watched[0].dtype), kept

    def after_step(self, batch: Any) -> list[tf.Tensor]:
        """Return the weights after the model's own training step, with any optimizer.

        The step is made, and then everything that it wrote is restored: weights, moving statistics,
        seeds, metrics, and the optimizer's variables. Call it in a `tf.function`.
        """
        model = self.model
        every = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
        written = list({id(variable): variable for variable in every}.values())
        before = [tf.identity(variable.value) for variable in written]
        model.train_step(batch)
        after = [tf.identity(variable.value) for variable in self.variables]
        for variable, value in zip(written, before, strict=True):
            variable.assign(value)
        return after


def unpruned(variable: keras.Variable, gradient: tf.Tensor) -> tf.Tensor:
    """Return a gradient with 0 at the pruned weights of its variable."""
    constraint = variable.constraint
    return masked(gradient, constraint.mask) if isinstance(constraint, MaskConstraint) else gradient


def norm(tensors: Weights) -> tf.Tensor:
    """Return the Euclidean norm of all tensors as one flat vector."""
    return tf.sqrt(inner(tensors, tensors))


def inner(some: Weights, others: Weights) -> tf.Tensor:
    """Return the inner product of two lists of tensors, each as one flat vector."""
    return tf.add_n([tf.reduce_sum(a * b) for a, b in zip(some, others, strict=True)])


def _check(model: keras.Model) -> None:
    if not model.built or not model.trainable_variables:
        raise ModelError(
            "Only a built model with trainable weights can be probed. Received: "
            f"{model.name!r}, which {'has none' if model.built else 'is not built yet'}."
        )
    if model.distribute_strategy.num_replicas_in_sync > 1:
        raise ModelError(
            "A model that is spread over several replicas can't be probed: each of them has "
            "statistics of its own. Received: a strategy with "
            f"{model.distribute_strategy.num_replicas_in_sync} replicas. Measure a copy on one."
        )
    small = {v.path: v.dtype for v in model.trainable_variables if v.dtype in _TOO_COARSE}
    if small:
        raise ModelError(
            "Weights must be float32 or float64 to be probed, since differences of gradients in "
            f"lower precision are rounding. Received: {small}. Mixed precision keeps float32 "
            "weights and can be probed."
        )


@contextlib.contextmanager
def _in_full_precision(model: keras.Model) -> Iterator[None]:
    """Let layers of mixed precision compute in the type of their variables meanwhile."""
    mixed = [
        (layer, layer.dtype_policy)
        for layer in flat_layers(model)
        if layer.compute_dtype != layer.variable_dtype
    ]
    try:
        for layer, policy in mixed:
            layer.dtype_policy = keras.DTypePolicy(policy.variable_dtype)
        yield
    finally:
        for layer, policy in mixed:
            layer.dtype_policy = policy
