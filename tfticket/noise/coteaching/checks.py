"""Checks of networks, settings, labels and inputs before two networks are trained together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfticket.errors import DataError, ModelError
from tfticket.internals import Functional
from tfticket.noise.labels.given import NO_CLASS, check_finite


def check_pair(first: keras.Model, second: keras.Model) -> None:
    """Raise a `ModelError` unless they are two models of as many classes that share nothing."""
    for network in (first, second):
        if not isinstance(network, keras.Model):
            raise ModelError(f"Both networks must be Keras models. Received: {network!r}.")
    shared = {id(v) for v in first.variables} & {id(v) for v in second.variables}
    if first is second or shared:
        raise ModelError(
            "The two networks must not share anything, or they would make the same mistakes. "
            f"Received: {first.name!r} and {second.name!r}, which share {len(shared)} variables. "
            "Build the model twice."
        )
    sizes = [_output_size(network) for network in (first, second)]
    if None not in sizes and sizes[0] != sizes[1]:
        raise ModelError(
            "Both networks must have the same classes. Received: outputs of size "
            f"{sizes[0]} and {sizes[1]}."
        )


def _output_size(network: keras.Model) -> int | None:
    """Size of the last axis of what a model gives; None when that can't be seen yet."""
    known = isinstance(network, (keras.Sequential, Functional)) and network.built
    shape = network.output_shape if known else None
    return shape[-1] if isinstance(shape, tuple) and isinstance(shape[-1], int) else None


def check_beginnings(first: keras.Model, second: keras.Model) -> None:
    """Raise a `ModelError` when two networks would begin with the same weights."""
    weights = [[np.asarray(v.numpy()) for v in m.trainable_variables] for m in (first, second)]
    if not weights[0] or [w.shape for w in weights[0]] != [w.shape for w in weights[1]]:
        return
    if all(np.array_equal(*pair) for pair in zip(*weights, strict=True)):
        raise ModelError(
            "The two networks must begin with different weights: from equal ones they stay equal "
            "for ever, and neither corrects the other. Received: two networks with the same "
            "weights. Build them with different seeds."
        )


def check_between(name: str, value: float, *, below_one: bool) -> None:
    """Raise a `ModelError` unless the share is in [0, 1], or in [0, 1)."""
    if not 0 <= value <= 1 or (below_one and value == 1):
        raise ModelError(
            f"`{name}` must be in [0, 1{')' if below_one else ']'}. Received: {value}."
        )


def check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    """Raise a `ModelError` unless the value is one of the choices."""
    if value not in choices:
        raise ModelError(f"`{name}` must be one of {list(choices)}. Received: {value!r}.")


def check_logits(loss: Any, outputs: str) -> None:
    """Raise a `ModelError` when the loss takes the outputs for something else."""
    config = loss.get_config() if isinstance(loss, keras.losses.Loss) else {}
    from_logits = config.get("from_logits", config.get("fn_kwargs", {}).get("from_logits"))
    expected = {"logits": True, "probabilities": False}.get(outputs)
    if from_logits is None or expected is None or from_logits == expected:
        return
    raise ModelError(
        f"The loss must fit the outputs of the networks, which are {outputs}. Received: "
        f"{loss.name!r} with from_logits={from_logits}. Set `from_logits={expected}` in the loss, "
        "or say what the networks give by `outputs` of `CoTeaching`."
    )


def check_labels(y: Any, classes: int | None, *, signed: bool = False) -> None:
    """Raise a `DataError` when there are no labels, or those in memory are out of range.

    Floats that are whole numbers are labels too, and of two classes also shares in [0, 1]. The true
    label of an example that is of no class is -1.

    Labels in a data set can't be looked at before they come; then TensorFlow raises on a CPU.

    Args:
        y: What `fit` was given: an array, tensor, pandas object, or a dictionary of two.
        classes: Number of classes, or None when labels aren't classes.
        signed: Whether two classes may be -1 and 1, as hinge losses have them.
    """
    if y is None or classes is None:
        return
    least = -1 if signed and classes == 2 else 0
    for labels, smallest in zip(split_truth(y), (least, NO_CLASS), strict=True):
        array = _in_memory(labels)
        if array is not None:
            _check_array(array, classes, smallest)


def check_inputs(x: Any) -> None:
    """Raise a `DataError` when an input in memory isn't finite, and says which one.

    Args:
        x: Inputs as for `fit`: an array, tensor or pandas object, or a nest of them. What is only
            read in training, such as a data set, isn't looked at.
    """
    for part in keras.tree.flatten(x):
        array = _in_memory(part)
        if array is not None and array.ndim:
            check_finite(array)


def _in_memory(values: Any) -> np.ndarray | None:
    """Numbers in memory as an array; None for anything else."""
    if values is None or not hasattr(values, "__array__") or keras.backend.is_keras_tensor(values):
        return None
    if tf.is_tensor(values) and not hasattr(values, "numpy"):  # symbolic
        return None
    array = np.asarray(values)
    if array.dtype == object:  # numbers of pandas that may be missing
        try:
            array = array.astype(np.float64)
        except (TypeError, ValueError):
            return None
    return array if array.dtype.kind in "iuf" or array.dtype.name == "bfloat16" else None


def _check_array(labels: np.ndarray, classes: int, least: int) -> None:
    if not len(labels):
        raise DataError("There must be at least one sample to learn from. Received: no labels.")
    if labels.ndim != 1 and (labels.ndim != 2 or labels.shape[1] != 1):
        return  # one-hot rows are the loss's affair
    low, high = labels.min(), labels.max()
    outside = not (low >= least and high <= classes - 1)  # also NaN
    if outside or (classes > 2 and (labels != np.round(labels)).any()):
        raise DataError(
            f"Labels must be integers in [{least}, {classes}), as many classes as the networks "
            f"have. Received: labels from {low} to {high}, {labels.dtype}."
        )


GIVEN, TRUE = "given", "true"


def split_truth(y: Any) -> tuple[Any, Any]:
    """Split given and true labels; the latter are None where only labels were given.

    Raises:
        ModelError: when the labels are anything but one array, or the two under their names.
    """
    if isinstance(y, Mapping) and set(y) == {GIVEN, TRUE}:
        return y[GIVEN], y[TRUE]
    if y is None or isinstance(y, (Mapping, list, tuple)):
        found = sorted(y) if isinstance(y, Mapping) else type(y).__name__
        raise ModelError(
            "Co-teaching needs the given label of each sample, as one array; or, to study the "
            f"selection, a dictionary of the arrays {GIVEN!r} and {TRUE!r}. Received: {found}."
        )
    return y, None


def per_sample_weight(sample_weight: Any) -> Any:
    """Cast sample weights to float32, shape (batch,); None stays None.

    Raises:
        ModelError: when a sample has more than one.
    """
    if sample_weight is None:
        return None
    shape = () if keras.tree.is_nested(sample_weight) else tuple(sample_weight.shape)
    if shape[1:] not in ((), (1,)) or not shape:
        raise ModelError(
            "Samples are selected whole, so each has one weight: shape (batch,). Received: weights "
            f"of shape {shape}."
        )
    return keras.ops.cast(keras.ops.reshape(sample_weight, (-1,)), "float32")
