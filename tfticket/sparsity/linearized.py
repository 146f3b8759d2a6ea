"""The flow through the linearized network that SynFlow scores."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfticket.errors import ModelError
from tfticket.internals import Functional, flat_layers, input_structure, maker_of
from tfticket.layer_kinds import WITH_ACTIVATION
from tfticket.state import MaskOwner, named_variables


def linearized_flow(
    model: keras.Model, kernels: Mapping[str, keras.Variable], x: Any = None
) -> dict[str, np.ndarray]:
    """|θ| ∂R/∂|θ|, with R the sum of the outputs of |f| on ones.

    |f| is the network in inference mode with the magnitudes of all its parameters and statistics,
    in float64, without the activations of its output layers. The model itself isn't changed.

    Args:
        model: A built model.
        kernels: Key to the variables that are scored.
        x: A batch, for its shape; where a subclassed model doesn't know its own.

    Returns:
        Key to score: float64, not negative.

    Raises:
        ModelError: when the shape of the input isn't known, R is too large even for float64, or
            hardly depends on the weights.
    """
    ones = _ones(model, x)
    scope = keras.StatelessScope()
    for variable in named_variables(model).values():
        if keras.backend.is_float_dtype(variable.dtype):
            # Not by the scope's constructor, which would cast to the variable's own type.
            scope.add_update((variable, tf.abs(tf.cast(variable.value, tf.float64))))
    values = {key: scope.get_current_value(kernel) for key, kernel in kernels.items()}
    with (
        _in_float64(model),
        _without_output_activations(model),
        tf.GradientTape(watch_accessed_variables=False) as tape,
    ):
        tape.watch(list(values.values()))
        with scope:
            outputs = keras.tree.flatten(model(ones, training=False))
            flow = sum(tf.reduce_sum(tf.cast(output, tf.float64)) for output in outputs)
    gradients = tape.gradient(flow, values, unconnected_gradients="zero")
    scores = {key: np.abs(values[key] * gradient) for key, gradient in gradients.items()}
    _check(model, abs(float(flow)), sum(float(score.sum()) for score in scores.values()))
    return scores


def _check(model: keras.Model, flow: float, scored: float) -> None:
    if not np.isfinite(flow + scored):
        raise ModelError(
            "The flow through the linearized network must be a finite number. Received: "
            f"R = {flow} for the model {model.name!r}; its weights are too large, or it holds "
            "layers that SynFlow isn't defined for."
        )
    # In a network of paths each layer's scores add up to R; saturated outputs leave only noise.
    if scored <= 1e-6 * flow:
        raise ModelError(
            "SynFlow scores the paths from inputs to outputs, so the outputs must depend on the "
            f"weights. Those of {model.name!r} hardly do; end the model in logits, without a "
            "softmax or sigmoid."
        )


def _ones(model: keras.Model, x: Any) -> Any:
    """One example of the model's input, filled with ones."""
    if isinstance(model, keras.Sequential):
        x = model.inputs[0]
    elif isinstance(model, Functional):
        x = input_structure(model)
    if x is None:
        raise ModelError(
            f"SynFlow needs the shape of an input. Received: x=None for {model.name!r}, a "
            "subclassed model; pass a batch as `x`."
        )
    return keras.tree.map_structure(
        lambda given: tf.ones([1, *given.shape[1:]], keras.backend.standardize_dtype(given.dtype)),
        x,
    )


@contextlib.contextmanager
def _in_float64(model: keras.Model) -> Iterator[None]:
    layers = [layer for layer in flat_layers(model) if isinstance(layer, keras.layers.Layer)]
    policies = [layer.dtype_policy for layer in layers]
    try:
        for layer in layers:
            layer.dtype_policy = "float64"
        yield
    finally:
        for layer, policy in zip(layers, policies, strict=True):
            layer.dtype_policy = policy


@contextlib.contextmanager
def _without_output_activations(model: keras.Model) -> Iterator[None]:
    layers = [layer for layer in _output_layers(model) if isinstance(layer, WITH_ACTIVATION)]
    activations = [layer.activation for layer in layers]
    try:
        for layer in layers:
            layer.activation = keras.activations.linear
        yield
    finally:
        for layer, activation in zip(layers, activations, strict=True):
            layer.activation = activation


def _output_layers(layer: Any) -> Iterator[Any]:
    """List the output layers of a Sequential or Functional model, inside nested models too."""
    if isinstance(layer, MaskOwner):
        yield from _output_layers(layer.layer)
    elif isinstance(layer, keras.Sequential):
        yield from _output_layers(layer.layers[-1])
    elif isinstance(layer, Functional):
        for output in layer.outputs:
            yield from _output_layers(maker_of(output))
    else:
        yield layer
