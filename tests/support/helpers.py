"""Tiny models and the questions that most tests ask about them."""

from __future__ import annotations

import keras
import numpy as np

from tfticket.sparsity.mask import Mask
from tfticket.state import prunable_variables

layers = keras.layers


def mlp(sizes=(6, 5, 4, 3), *, activation="relu", last=None, dtype=None, name="mlp"):
    """A Sequential network of Dense layers `hidden_0`, ..., `output`."""
    model = keras.Sequential([keras.Input((sizes[0],))], name=name)
    for number, units in enumerate(sizes[1:-1]):
        model.add(layers.Dense(units, activation=activation, dtype=dtype, name=f"hidden_{number}"))
    model.add(layers.Dense(sizes[-1], activation=last, dtype=dtype, name="output"))
    return model


def noisy_convnet():
    """Has everything that training changes: kernels, moving statistics, seed generators."""
    return keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            layers.Conv2D(4, 3, name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(),
            layers.Dropout(0.3, name="drop"),
            layers.Flatten(),
            layers.Dense(3, name="output"),
        ],
        name="noisy_convnet",
    )


class Subclassed(keras.Model):
    """What Keras can't clone."""

    def __init__(self):
        super().__init__(name="subclassed")
        self.hidden = layers.Dense(12, activation="relu", name="hidden")
        self.drop = layers.Dropout(0.2, name="drop")
        self.out = layers.Dense(3, name="out")

    def call(self, x, training=None):
        return self.out(self.drop(self.hidden(x), training=training))


def batch(shape=(6,), *, examples=16, classes=3, seed=0):
    """Inputs and labels that a network can learn something from."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(examples, *shape)).astype("float32")
    return x, (np.abs(x.reshape(examples, -1)).sum(1) * 7).astype(int) % classes


def logits_loss():
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def compiled(model, optimizer="sgd", **kwargs):
    """Without XLA by default: a few steps take less time than its compilation."""
    model.compile(optimizer, logits_loss(), **{"jit_compile": False, **kwargs})
    return model


def values(model):
    """Key to array of the prunable variables."""
    return {key: np.array(v.numpy()) for key, v in prunable_variables(model).items()}


def random_mask(model, density=0.5, seed=0):
    """A mask over all kernels, with at least one weight kept and one pruned in each."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for key, variable in prunable_variables(model).items():
        flat = rng.random(variable.shape).ravel() < density
        flat[0], flat[-1] = True, False
        arrays[key] = flat.reshape(variable.shape)
    return Mask(arrays)


def leaked(model, mask):
    """How many pruned weights aren't exactly zero; a negative zero isn't."""
    kernels = prunable_variables(model)
    pruned = [np.asarray(kernels[key].numpy())[~mask[key]] for key in mask]
    return sum(int(np.count_nonzero((w != 0) | np.signbit(w))) for w in pruned)


def moved(model, before, mask):
    """Share of the survivors that differ from `before`."""
    now = values(model)
    return np.mean(np.concatenate([(now[k] != before[k])[mask[k]] for k in mask]))
