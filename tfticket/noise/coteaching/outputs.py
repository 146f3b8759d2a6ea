"""Outputs of two networks: log probabilities, their mean, and where they disagree."""

from __future__ import annotations

import math
from typing import Any, Literal

import keras

from tfticket.errors import ModelError
from tfticket.internals import Functional, maker_of

Outputs = Literal["logits", "probabilities", "values"]
OUTPUTS = ("logits", "probabilities", "values")
_TINY = 1e-7
_SMALLEST = 1.2e-38  # normal float32
_PROBABLE = ("softmax", "sigmoid")  # as activations are written in a configuration


def kind_of_outputs(model: keras.Model) -> Outputs:
    """Infer from its last layer whether a model gives probabilities or logits.

    Raises:
        ModelError: for a subclassed model, which has no last layer to look at.
    """
    last: Any = model
    while isinstance(last, (keras.Model, keras.layers.Wrapper)):
        if isinstance(last, keras.layers.Wrapper):
            last = last.layer
        elif isinstance(last, keras.Sequential) and last.layers:
            last = last.layers[-1]
        elif isinstance(last, Functional) and len(last.outputs) == 1:
            last = maker_of(last.outputs[0])
        else:
            raise ModelError(
                "What a subclassed model gives can't be seen from outside, and a model must have "
                f"one output. Received: {model.name!r} of the class {type(model).__name__}. Say "
                "what it gives: `outputs='logits'`, 'probabilities' or 'values'."
            )
    config = last.get_config() if isinstance(last, keras.Layer) else {}
    if isinstance(last, keras.layers.Softmax) or config.get("activation") in _PROBABLE:
        return "probabilities"
    return "logits"


def log_probabilities(outputs: Any, kind: Outputs) -> Any:
    """Compute the log probability of each class, float32, shape (..., classes).

    A single output stands for two classes, by its sigmoid or as the probability of the second.
    """
    ops = keras.ops
    outputs = ops.cast(outputs, "float32")
    if outputs.shape[-1] == 1:
        if kind == "logits":
            both = ops.concatenate([-outputs, outputs], axis=-1)
            return ops.log_sigmoid(both)
        outputs = ops.concatenate([1.0 - outputs, outputs], axis=-1)
    if kind == "logits":
        return ops.log_softmax(outputs, axis=-1)
    return ops.log(ops.clip(outputs, _TINY, 1.0))


def class_logits(outputs: Any, kind: Outputs) -> Any:
    """Logits of two classes or more, float32, shape (..., classes).

    Those of probabilities are their logarithms, which are logits but for a constant in each row. A
    single output stands for two classes, as in `log_probabilities`.
    """
    ops = keras.ops
    outputs = ops.cast(outputs, "float32")
    if outputs.shape[-1] == 1:
        first = ops.zeros_like(outputs) if kind == "logits" else 1.0 - outputs
        outputs = ops.concatenate([first, outputs], axis=-1)
    return outputs if kind == "logits" else ops.log(ops.maximum(outputs, _SMALLEST))


def mean_outputs(first: Any, second: Any, kind: Outputs) -> Any:
    """Average the outputs of two networks, in the kind that they are.

    The mean of probabilities or values. Of logits it is the logarithm of the mean probability,
    which is logits again: its softmax (or sigmoid) is that mean exactly, so that a loss or metric
    made for one network fits the pair too.
    """
    ops = keras.ops
    if kind != "logits":
        return (ops.cast(first, "float32") + ops.cast(second, "float32")) / 2.0
    pair = [log_probabilities(outputs, kind) for outputs in (first, second)]
    mean = ops.logaddexp(*pair) - math.log(2.0)
    return mean[..., 1:] - mean[..., :1] if first.shape[-1] == 1 else mean


def disagreement(first: Any, second: Any, kind: Outputs) -> Any:
    """Find where the two predict different classes, boolean, shape (batch,).

    A sample with many positions counts when they differ at any of them.
    """
    ops = keras.ops
    if first.shape[-1] == 1:
        border = 0.0 if kind == "logits" else 0.5
        differ = (first > border) != (second > border)
    else:
        differ = ops.argmax(first, axis=-1) != ops.argmax(second, axis=-1)
    return ops.any(ops.reshape(differ, (ops.shape(differ)[0], -1)), axis=-1)


def symmetric_divergence(first: Any, second: Any, kind: Outputs) -> Any:
    """Compute KL(p1 || p2) + KL(p2 || p1) of each sample, shape (batch,); means over positions.

    Source: Wei et al. (2020, arXiv:2003.02752), equation 4.
    """
    ops = keras.ops
    log_p, log_q = log_probabilities(first, kind), log_probabilities(second, kind)
    values = ops.sum((ops.exp(log_p) - ops.exp(log_q)) * (log_p - log_q), axis=-1)
    return ops.mean(ops.reshape(values, (ops.shape(values)[0], -1)), axis=-1)


def class_count(outputs: Any, kind: Outputs) -> int | None:
    """Number of classes, from the shape of the outputs; None for values."""
    size = outputs[-1]
    return None if kind == "values" or size is None else max(2, size)


def class_ids(labels: Any, classes: int | None) -> Any:
    """The given class of each sample, int32, shape (batch,); None when labels aren't classes."""
    ops = keras.ops
    shape = labels.shape
    if classes is None or len(shape) > 2:
        return None
    if len(shape) == 2 and shape[-1] != 1:
        return ops.cast(ops.argmax(labels, axis=-1), "int32")
    return ops.cast(ops.reshape(labels, (-1,)), "int32")
