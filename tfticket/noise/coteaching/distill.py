"""One plain Keras model made of a pair: their ensemble, or a student of it."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfticket.cloning import clone
from tfticket.errors import ModelError
from tfticket.internals import Functional, input_structure
from tfticket.noise.coteaching.outputs import Outputs, log_probabilities
from tfticket.remaking import carry_state, remade
from tfticket.state import stable_name, unused

_NAMES = ("first", "second")


def ensemble(
    peers: tuple[keras.Model, keras.Model], kind: Outputs, *, name: str = "ensemble"
) -> keras.Model:
    """Join two networks into one plain Keras model, made of Keras' own layers.

    Args:
        peers: Two built Sequential or Functional models; they are copied, not changed.
        kind: What they give.
        name: Of the new model.

    Returns:
        A Functional model that gives the mean of their probabilities, also where the networks give
        logits, or the mean of their values. Not compiled.

    Raises:
        ModelError: for subclassed models, which have no inputs to join.
    """
    if not all(isinstance(peer, (keras.Sequential, Functional)) for peer in peers):
        raise ModelError(
            "Only Sequential and Functional networks can be joined into one. Received: "
            f"{[type(peer).__name__ for peer in peers]}. Use the networks in `peers`, or `distill` "
            "into a student."
        )
    source = peers[0]
    taken = source.inputs[0] if len(source.inputs) == 1 else input_structure(source)
    inputs = keras.tree.map_structure(
        lambda x: keras.Input(batch_shape=x.shape, dtype=x.dtype), taken
    )
    outputs = [_grafted(peer, inputs, of) for peer, of in zip(peers, _NAMES, strict=True)]
    if kind == "logits":
        activation = "sigmoid" if outputs[0].shape[-1] == 1 else "softmax"
        outputs = [
            keras.layers.Activation(activation, dtype="float32", name=f"{of}_{activation}")(each)
            for each, of in zip(outputs, _NAMES, strict=True)
        ]
    mean = keras.layers.Average(dtype="float32", name="mean")(outputs)
    return keras.Model(inputs, mean, name=name)


def _grafted(network: keras.Model, inputs: Any, prefix: str) -> Any:
    """The outputs of a copy of the network on those inputs, its layers under names of their own.

    The copy isn't nested, so that whatever takes plain models finds plain layers.
    """
    taken: set[str] = set()

    def rename(operation: Any) -> str:
        name = unused(f"{prefix}_{stable_name(operation)}", taken)
        taken.add(name)
        return name

    copy = clone(network, instead="", rename=rename, inputs=inputs)
    return copy.model.outputs[0]


def distill(
    teacher: keras.Model,
    x: np.ndarray,
    student: keras.Model | None = None,
    *,
    kind: Outputs,
    epochs: int,
    batch_size: int = 128,
    optimizer: Any = "adam",
    seed: int = 0,
    callbacks: Any = None,
) -> keras.Model:
    """Train one network to predict what the pair predicts; labels are not used.

    The student minimizes the cross-entropy to the pair's mean probabilities (Hinton et al. 2015,
    arXiv:1503.02531, at temperature 1), or the squared difference to its mean values.

    Args:
        teacher: The pair.
        x: Inputs as the networks take them, shape (n, ...).
        student: The network to train, in place, which gives what the networks of the pair give;
            a copy of the first, which begins with its weights, when None.
        kind: What the networks and the student give.
        epochs: Passes over `x`.
        batch_size: Samples a step.
        optimizer: As for `compile`.
        seed: Of the order of the samples.
        callbacks: As for `fit`.

    Returns:
        The student, a plain Keras model.
    """
    if epochs < 1:
        raise ModelError(f"`epochs` must be at least 1. Received: {epochs}.")
    student = _copy(teacher.first, "student") if student is None else student
    targets = teacher.predict(x, batch_size=batch_size, verbose=0)
    loss: keras.losses.Loss = keras.losses.MeanSquaredError()
    if kind != "values":
        single = targets.shape[-1] == 1
        log_p = np.array(log_probabilities(targets, kind))
        targets = np.exp(log_p)[..., 1:] if single else np.exp(log_p)
        soft = keras.losses.BinaryCrossentropy if single else keras.losses.CategoricalCrossentropy
        loss = soft(from_logits=kind == "logits")
    student.compile(optimizer, loss)
    samples = tf.data.Dataset.from_tensor_slices((x, targets))
    samples = samples.shuffle(len(targets), seed=seed, reshuffle_each_iteration=True)
    student.fit(
        samples.batch(batch_size), epochs=epochs, shuffle=False, verbose=0, callbacks=callbacks
    )
    return student


def _copy(network: keras.Model, name: str) -> keras.Model:
    """The same network under another name, with weights, statistics and seeds of its own."""
    if isinstance(network, (keras.Sequential, Functional)):
        copy = clone(network, instead="").model
        copy.name = name
        return copy
    copy = remade(network, name=name)
    if not copy.built:
        copy.build_from_config(network.get_build_config())
    carry_state(network, copy)
    return copy
