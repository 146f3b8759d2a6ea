"""The measures once more, slowly and obviously: a model's own variables are set, and set back."""

import keras
import numpy as np
import tensorflow as tf


def state(model):
    return [np.array(v.numpy()) for v in model.variables]


def set_state(model, values):
    for variable, value in zip(model.variables, values, strict=True):
        variable.assign(value)


def loss_and_gradient(model, x, y, sample_weight=None, *, training=True):
    """At the model's weights; moving statistics and seeds are put back."""
    before = state(model)
    with tf.GradientTape() as tape:
        y_pred = model(x, training=training)
        loss = model.compute_loss(x, y, y_pred, sample_weight, training=training)
    gradient = [np.array(g) for g in tape.gradient(loss, model.trainable_weights)]
    set_state(model, before)
    return float(loss), gradient


def flat(arrays):
    return np.concatenate([np.asarray(a, np.float64).ravel() for a in arrays])


def weights(model):
    return [np.array(v.numpy()) for v in model.trainable_variables]


def set_weights(model, values):
    for variable, value in zip(model.trainable_variables, values, strict=True):
        variable.assign(value)


def after_step(model, x, y):
    """Weights after a real step of `train_on_batch`; everything is put back."""
    before = state(model)
    optimizer = [np.array(v.numpy()) for v in model.optimizer.variables]
    model.train_on_batch(x, y)
    after = weights(model)
    set_state(model, before)
    for variable, value in zip(model.optimizer.variables, optimizer, strict=True):
        variable.assign(value)
    model.reset_metrics()
    return after


def landscape(model, x, y, multipliers, direction):
    """L_k and g_k at each point along a direction, a list of arrays."""
    start = weights(model)
    found = []
    for k in multipliers:
        set_weights(model, [w + k * d for w, d in zip(start, direction, strict=True)])
        found.append(loss_and_gradient(model, x, y))
    set_weights(model, start)
    return [loss for loss, _ in found], [flat(g) for _, g in found]


class Recorder(keras.callbacks.Callback):
    """Keeps the whole state before each step of a `fit`."""

    def on_train_begin(self, logs=None):
        self.states, self.optimizer = [], []

    def on_train_batch_begin(self, batch, logs=None):
        self.states.append(state(self.model))
        self.optimizer.append([np.array(v.numpy()) for v in self.model.optimizer.variables])
