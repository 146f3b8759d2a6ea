"""LeNet-300-100 trained by hand: what is left when there is no Keras, no metric and no mask.

One function that XLA compiles trains all steps of a run; weights, Adam and the loss are written
out. Nobody would want to write their trainings so; it is what ours is held to.
"""

from __future__ import annotations

import itertools

import numpy as np
import tensorflow as tf

from tfticket.bench.workloads import CLASSES, Workload

_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-7  # of Keras' Adam


class HandwrittenLenet:
    """Trains the steps of a run in one call. Each run goes on where the last one ended.

    Args:
        workload: What is trained, and how long.

    Attributes:
        weights: Kernel and bias of each layer, in the order of Keras.
    """

    def __init__(self, workload: Workload) -> None:
        images, labels = workload.arrays()
        self._x = tf.constant(images.reshape(len(images), -1))
        self._y = tf.constant(labels)
        self._workload = workload
        self._rng = np.random.default_rng(0)
        self.weights = _initial_weights((self._x.shape[1], 300, 100, CLASSES))
        self._means = [tf.Variable(tf.zeros_like(weight)) for weight in self.weights]
        self._squares = [tf.Variable(tf.zeros_like(weight)) for weight in self.weights]
        self._count = tf.Variable(0.0)
        self._train = tf.function(self._epoch, jit_compile=True, autograph=False)

    def __call__(self) -> None:
        """Trains the steps of a run."""
        self._train(tf.constant(self._workload.batches(self._rng))).numpy()

    def _epoch(self, batches: tf.Tensor) -> tf.Tensor:
        def body(i: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return i + 1, total + self._step(batches[i])

        steps, start = self._workload.steps, (tf.constant(0), tf.constant(0.0))
        return tf.while_loop(lambda i, _: i < steps, body, start)[1]

    def _step(self, batch: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = self._loss(batch)
        gradients = tape.gradient(loss, self.weights)
        self._count.assign_add(1.0)
        correction = tf.sqrt(1 - _BETA2**self._count) / (1 - _BETA1**self._count)
        rate = self._workload.learning_rate * correction
        slots = zip(self.weights, gradients, self._means, self._squares, strict=True)
        for weight, gradient, mean, square in slots:
            mean.assign_add((1 - _BETA1) * (gradient - mean))
            square.assign_add((1 - _BETA2) * (gradient * gradient - square))
            weight.assign_sub(rate * mean / (tf.sqrt(square) + _EPSILON))
        return loss

    def _loss(self, batch: tf.Tensor) -> tf.Tensor:
        x = tf.cast(tf.gather(self._x, batch), tf.float32) / 255
        *hidden, kernel, bias = self.weights
        for inner, offset in zip(hidden[::2], hidden[1::2], strict=True):
            x = tf.nn.relu(x @ inner + offset)
        labels = tf.gather(self._y, batch)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, x @ kernel + bias)
        return tf.reduce_mean(losses)


def _initial_weights(widths: tuple[int, ...]) -> list[tf.Variable]:
    """Glorot's, and zeros."""
    rng = np.random.default_rng(0)
    weights = []
    for inputs, outputs in itertools.pairwise(widths):
        kernel = rng.normal(0, (2 / (inputs + outputs)) ** 0.5, (inputs, outputs))
        weights += [tf.Variable(kernel.astype("float32")), tf.Variable(tf.zeros(outputs))]
    return weights
