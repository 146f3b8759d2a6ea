"""What must be known of a model, from the zoo or not, before it is compiled."""

from __future__ import annotations

from typing import Literal

import keras

from tfticket.errors import ModelError
from tfticket.internals import calls_of, flat_layers
from tfticket.machine import only_cpus, op_threads

_CONVOLUTIONS = (
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
    keras.layers.DepthwiseConv1D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv1D,
    keras.layers.SeparableConv2D,
    keras.layers.ConvLSTM1D,
    keras.layers.ConvLSTM2D,
    keras.layers.ConvLSTM3D,
)
_WITH_ACTIVATION = (
    keras.layers.Activation,
    keras.layers.Dense,
    keras.layers.EinsumDense,
    keras.layers.Conv1D,
    keras.layers.Conv2D,
)
_BY_IDS = (keras.layers.Embedding, keras.layers.CategoryEncoding, keras.layers.IntegerLookup)


def jit_choice(
    model: keras.Model, choice: bool | Literal["auto"] = "auto", *, threads: int | None = None
) -> bool:
    """Whether to compile the model with XLA (`jit_compile`).

    On one thread of a CPU that makes steps of dense networks up to a third faster, and steps with
    convolutions a third or more slower. With more threads it makes both slower: XLA divides each
    product of a small network among them, and they wait for each other. On other devices Keras
    knows better.

    Args:
        model: The model, built or not.
        choice: True and False decide; `auto` is True for a model without convolutions on one
            thread, when there are only CPUs.
        threads: With how many threads an operation is computed, at least 1; None for what
            TensorFlow is set to. XLA adds floats in another order, so to get the same bits with any
            number of threads, name one.

    Raises:
        ModelError: for another choice.
    """
    if isinstance(choice, bool):
        return choice
    if choice != "auto":
        raise ModelError(f"`jit` must be true, false or 'auto'. Received: {choice!r}.")
    if (threads or op_threads()) > 1 or not only_cpus():
        return False
    return not any(isinstance(layer, _CONVOLUTIONS) for layer in _layers(model))


def gives_probabilities(model: keras.Model) -> bool:
    """Whether the model ends in a softmax; all networks of the zoo end in logits."""
    last: keras.layers.Layer = model
    while True:
        if isinstance(last, keras.Model):
            last = last.layers[-1]
        elif isinstance(last, keras.layers.Wrapper):
            last = last.layer
        else:
            break
    if isinstance(last, keras.layers.Softmax):
        return True
    activation = last.activation if isinstance(last, _WITH_ACTIVATION) else None
    return activation is keras.activations.softmax


def takes_whole_numbers(model: keras.Model) -> str | None:
    """What of a model needs inputs that are whole numbers, such as ids; None if nothing does.

    It is the type of the input, or a layer right behind it. A layer that looks up ids cuts off
    fractions without a word.

    Args:
        model: A Sequential or Functional model with one input.
    """
    (given,) = model.inputs
    if keras.backend.is_int_dtype(given.dtype):
        return f"an input of type {given.dtype}"
    for layer in model.layers:
        inner = layer.layer if isinstance(layer, keras.layers.Wrapper) else layer
        if any(x is given for node in calls_of(layer) for x in node.input_tensors):
            if isinstance(inner, _BY_IDS):
                return f"the layer {layer.name}, {type(inner).__name__}"
            if isinstance(inner, keras.Model) and (needs := takes_whole_numbers(inner)):
                return needs
    return None


def _layers(model: keras.Model) -> list[keras.layers.Layer]:
    # Through nested models and wrappers, which `model.layers` doesn't open.
    return flat_layers(model, itself=False)
