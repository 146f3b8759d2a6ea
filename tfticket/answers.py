"""Check that a model and its copy have the same outputs on synthetic inputs.

State isn't changed: what a call would write to variables is discarded.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfticket.errors import InvariantError, ModelError
from tfticket.internals import (
    Functional,
    flat_layers,
    graph_of,
    input_structure,
    maker_of,
    readers_of,
    run_graph,
    takes_training,
)
from tfticket.remaking import described, first_words, unlisted_variables

_EXAMPLES = 2
_SIDES = (32, 128)
"""Lengths tried for axes of unknown length; the second where the model rejects the first."""

_TOLERANCES = {"float16": 1e-2, "bfloat16": 5e-2}
_TOLERANCE = 1e-5
"""Largest difference relative to the largest output that still counts as rounding."""

_ROUNDINGS = {"float16": 2.0**-10, "bfloat16": 2.0**-7}
_ROUNDING = 2.0**-22
"""Relative perturbation of the weights that measures how much a model amplifies rounding."""

_ROOM = 16
"""Multiple of the resulting change that still counts as rounding."""


def require_same(
    model: keras.Model,
    copy: keras.Model,
    standing: Mapping[int, keras.Layer],
    *,
    whole: bool = True,
) -> float:
    """Compare a model and its copy at inference, on synthetic inputs.

    Each copied layer is called on the inputs of the original, so that a layer that lost something
    is named; then the outputs of both models are compared.

    Args:
        model: A built Sequential or Functional model.
        copy: The copy.
        standing: The copy of each copied layer (or other operation), by the `id` of the original.
        whole: Whether the outputs of the whole models must be equal. Where layers are replaced on
            purpose, only the copied ones are compared.

    Returns:
        The largest difference of an output, over the largest output; 0 without `whole`.

    Raises:
        ModelError: when the outputs of a copied layer differ; it is named.
        InvariantError: when those of the models differ and of no layer, a mistake of tfticket.
    """
    if not model.built:
        return 0.0  # it has no inputs yet
    batch = next((b for one in (copy, model) if (b := one.inputs[0].shape[0])), _EXAMPLES)
    reason = ""
    for x in _inputs(model, batch):
        try:
            _check_shapes(model, x)
            with _restored(model, copy):
                answers = _run(model, x, lambda *call: _check_layer(standing, *call))
                return _check_answers(model, copy, x, answers) if whole else 0.0
        except (ModelError, InvariantError):
            raise
        except Exception as error:
            reason = _reason(error)  # the model doesn't accept this input
    warnings.warn(
        f"The copy of {model.name!r} couldn't be compared with it: the model accepts none of the "
        f"synthetic inputs ({reason}). Compare their outputs on inputs of yours.",
        stacklevel=2,
    )
    return 0.0


def _check_shapes(model: keras.Model, x: Any) -> None:
    """Raise where an axis is too short: TensorFlow would read memory behind it."""
    if any(None in tensor.shape[1:] for tensor in model.inputs):
        model.compute_output_spec(
            keras.tree.map_structure(lambda each: keras.KerasTensor(each.shape, each.dtype), x)
        )


def _check_layer(
    standing: Mapping[int, keras.Layer],
    layer: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    outputs: Any,
) -> None:
    new = standing.get(id(layer))
    if new is None:
        return
    try:
        difference = _difference(outputs, _call(new, *args, **kwargs))
    except Exception as error:
        raise ModelError(
            f"{described(layer)} can't be copied: its copy can't be called ({_reason(error)}). A "
            "copy has what `get_config` returns, what the layer saves and its variables. Put what "
            "is missing into one of them."
        ) from error
    if difference <= _tolerance(layer):
        return
    if _difference(outputs, _call(layer, *args, **kwargs)) > 0:
        return  # it draws random numbers that Keras doesn't seed
    raise ModelError(
        f"{described(layer)} can't be copied: the outputs of its copy differ by {difference:.2g} "
        "of the largest output. A copy has what `get_config` returns, what the layer saves "
        "(`save_own_variables`, `save_assets`) and its variables; this layer depends on something "
        "else, which a saved file loses too. Put that into one of them."
    )


def _check_answers(model: keras.Model, copy: keras.Model, x: Any, answers: Any) -> float:
    try:
        found = _call(copy, x, training=False)
    except Exception as error:
        raise ModelError(
            f"{described(model)} can't be copied: its copy can't be called ({_reason(error)}). A "
            "copy has the layers of the graph, but nothing else that the class holds. Put that "
            "into layers."
        ) from error
    difference = _difference(answers, found)
    if difference <= _tolerance(model):
        return difference
    answers = _call(model, x, training=False)  # which may do more than run through its layers
    difference = _difference(answers, found)
    if difference <= _tolerance(model):
        return difference
    if _difference(answers, _call(model, x, training=False)) > 0:
        return 0.0  # it draws random numbers that Keras doesn't seed
    if not difference <= _ROOM * _difference(answers, _slightly_changed(model, x)):
        raise InvariantError(
            f"The outputs of the copy of {model.name!r} differ by {difference:.2g} of the largest "
            f"output. They must be equal to {_tolerance(model):g}, or within rounding. Please "
            "report the model."
        )
    return difference


def _slightly_changed(model: keras.Model, x: Any) -> Any:
    """Outputs of the model with its weights perturbed by rounding."""
    rng = np.random.default_rng(0)
    rounding = _of_types(model, _ROUNDINGS, _ROUNDING)
    changed = [
        (v, v.numpy() * (1 + rounding * rng.choice((-1.0, 1.0), v.shape)).astype(v.dtype))
        for v in model.variables
        if v.dtype in ("float32", "float64")
    ]
    with keras.StatelessScope(changed):
        return model(x, training=False)


def _call(layer: Any, *args: Any, **kwargs: Any) -> Any:
    """Call a layer; random numbers are drawn from the same seeds each time."""
    with keras.StatelessScope():
        return layer(*args, **kwargs)


def _run(model: keras.Model, x: Any, visit: Callable[..., None]) -> Any:
    """Call a model at inference, and `visit` after each operation, in nested models too.

    Args:
        model: The model.
        x: Its inputs.
        visit: Function of the operation, its arguments, its keyword arguments, and its outputs.
    """
    graph = graph_of(model)
    if graph is None:
        return _call(model, x, training=False)

    def visited(operation: Any) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if takes_training(operation):
                kwargs["training"] = False
            if isinstance(operation, (keras.Sequential, Functional)):
                return _run(operation, args[0], visit)
            outputs = _call(operation, *args, **kwargs)
            visit(operation, args, kwargs, outputs)
            return outputs

        return call

    outputs = run_graph(graph, x, visited)
    single = isinstance(outputs, (list, tuple)) and len(outputs) == 1
    return outputs[0] if single else outputs


def _difference(expected: Any, found: Any) -> float:
    """Return the largest difference of outputs, over the largest expected one."""
    theirs, ours = (keras.tree.flatten(answers) for answers in (expected, found))
    if len(theirs) != len(ours):
        return math.inf
    pairs = zip(map(_array, theirs), map(_array, ours), strict=True)
    return max((_apart(one, other) for one, other in pairs), default=0.0)


def _apart(one: np.ndarray, other: np.ndarray) -> float:
    if one.shape != other.shape:
        return math.inf
    if one.dtype.kind not in "fc":
        return float(np.any(one != other))
    same = (one == other) | (np.isnan(one) & np.isnan(other))
    with np.errstate(invalid="ignore"):
        apart = np.nan_to_num(np.where(same, 0.0, np.abs(one - other)), nan=math.inf)
    scale = float(np.abs(one[np.isfinite(one)]).max(initial=0.0)) or 1.0
    return float(apart.max(initial=0.0)) / scale


def _array(value: Any) -> np.ndarray:
    if isinstance(value, tf.RaggedTensor):
        value = value.to_tensor()
    elif isinstance(value, tf.SparseTensor):
        value = tf.sparse.to_dense(value)
    array = np.asarray(value)
    return array.astype(np.float64) if array.dtype.kind in "fV" else array  # V: bfloat16


def _tolerance(operation: Any) -> float:
    return _of_types(operation, _TOLERANCES, _TOLERANCE)


def _of_types(operation: Any, values: Mapping[str, float], usual: float) -> float:
    """Return the largest of the values for the compute dtypes of an operation."""
    types = {layer.compute_dtype for layer in _inside(operation)}
    return max((values.get(kind, usual) for kind in types), default=usual)


@contextlib.contextmanager
def _restored(*models: keras.Model) -> Iterator[None]:
    """Restore the variables that Keras doesn't track, after the block."""
    layers = [layer for model in models for layer in flat_layers(model)]
    unlisted = [variable for layer in layers for variable in unlisted_variables(layer)]
    before = [(v, v.numpy()) for v in unlisted if isinstance(v, tf.Variable)]
    try:
        yield
    finally:
        for variable, value in before:
            variable.assign(value)


def _inputs(model: keras.Model, batch: int) -> Iterator[Any]:
    """Yield several inputs of the shapes and dtypes of a model, which may not accept them all."""
    vocabularies = [_vocabulary(model, tensor) for tensor in model.inputs]
    for side, known in itertools.product(_SIDES, (True, False)):
        rng = np.random.default_rng(0)
        made = [
            _made(tensor, batch, side, words, rng) if known else _plain(tensor, batch, side)
            for tensor, words in zip(model.inputs, vocabularies, strict=True)
        ]
        if isinstance(model, keras.Sequential):
            yield made[0]
        else:
            yield keras.tree.pack_sequence_as(input_structure(model), made)


def _made(tensor: Any, batch: int, side: int, words: list[Any], rng: np.random.Generator) -> Any:
    """Make one random input, in the layout of its tensor; integers are 0 and 1."""
    kind, shape = tensor.dtype, _shape(tensor, batch, side)
    if words:
        array = np.array(words)[rng.integers(0, len(words), shape)]
    elif kind == "string":
        array = np.array(["a", "b c", ""])[rng.integers(0, 3, shape)]
    elif keras.backend.is_float_dtype(kind):
        array = rng.standard_normal(shape)
    else:
        array = rng.integers(0, 2, shape)
    return _laid_out(tensor, array)


def _plain(tensor: Any, batch: int, side: int) -> Any:
    """Make one input that almost any model accepts: zeros, or one half for floats."""
    if tensor.dtype == "string":
        return _laid_out(tensor, np.full(_shape(tensor, batch, side), "a"))
    half = keras.backend.is_float_dtype(tensor.dtype)
    return _laid_out(tensor, np.full(_shape(tensor, batch, side), 0.5 if half else 0.0))


def _shape(tensor: Any, batch: int, side: int) -> list[int]:
    return [batch, *(side if length is None else length for length in tensor.shape[1:])]


def _laid_out(tensor: Any, array: np.ndarray) -> Any:
    made = tf.constant(array)
    made = made if tensor.dtype == "string" else tf.cast(made, tensor.dtype)
    if getattr(tensor, "sparse", False):
        return tf.sparse.from_dense(made)
    return tf.RaggedTensor.from_tensor(made) if getattr(tensor, "ragged", False) else made


def _vocabulary(model: keras.Model, tensor: Any) -> list[Any]:
    """Return the vocabulary of layers that read an input; for strings, of any layer."""
    text = tensor.dtype == "string"
    layers = readers_of(maker_of(tensor)) + ([model] if text else [])
    for layer in itertools.chain(*map(_inside, layers)):
        if hasattr(layer, "get_vocabulary"):
            words = list(layer.get_vocabulary(include_special_tokens=False))
            if words and isinstance(words[0], str) == text:
                return words
    return []


def _inside(operation: Any) -> list[keras.Layer]:
    return flat_layers(operation) if isinstance(operation, keras.Layer) else []


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {first_words(error)}".rstrip(": .")
