"""Check that a model and its copy have the same outputs on synthetic inputs.

Nothing is left behind: variables are read, and what a call would write to them is thrown away.
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
    """Compares a model and its copy at inference, on inputs that are made up.

    Each layer that was copied is given what the model gives to the original, so that one that lost
    something is named; then the answers of both models are compared.

    Args:
        model: The model, built: Sequential or Functional.
        copy: The copy.
        standing: For each layer (or other operation) that was copied as it is, by its `id`, what
            stands for it in the copy.
        whole: Whether the copy must give the answers of the model. Where layers are replaced by
            others on purpose only the rest is compared.

    Returns:
        The largest difference of an answer, over the largest answer; 0 without `whole`.

    Raises:
        ModelError: when a copied layer answers differently; it is named.
        InvariantError: when no layer does and the models do, which is a mistake of ours.
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
            reason = _reason(error)  # the model refuses this input
    warnings.warn(
        f"The copy of {model.name!r} couldn't be compared with it: the model refuses all inputs "
        f"that were made up ({reason}). Compare their answers on inputs of yours.",
        stacklevel=2,
    )
    return 0.0


def _check_shapes(model: keras.Model, x: Any) -> None:
    """Raises where a side of any length is too short: TensorFlow reads what is behind it then."""
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
            f"{described(layer)} can't be copied: its copy can't be called, by {_reason(error)}. "
            "A copy has what `get_config` returns, what the layer saves and its variables. Put "
            "what is missing into one of them."
        ) from error
    if difference <= _tolerance(layer):
        return
    if _difference(outputs, _call(layer, *args, **kwargs)) > 0:
        return  # it draws random numbers that nothing of Keras seeds
    raise ModelError(
        f"{described(layer)} can't be copied: its copy answers differently, by {difference:.2g} of "
        "the largest answer. A copy has what `get_config` returns, what the layer saves "
        "(`save_own_variables`, `save_assets`) and its variables; this layer computes with "
        "something else, which a saved file loses too. Put that into one of them."
    )


def _check_answers(model: keras.Model, copy: keras.Model, x: Any, answers: Any) -> float:
    try:
        found = _call(copy, x, training=False)
    except Exception as error:
        raise ModelError(
            f"{described(model)} can't be copied: its copy can't be called, by {_reason(error)}. "
            "A copy is made of the layers of the graph; what else the class keeps it hasn't. Put "
            "that into layers."
        ) from error
    difference = _difference(answers, found)
    if difference <= _tolerance(model):
        return difference
    answers = _call(model, x, training=False)  # which may do more than run through its layers
    difference = _difference(answers, found)
    if difference <= _tolerance(model):
        return difference
    if _difference(answers, _call(model, x, training=False)) > 0:
        return 0.0  # it draws random numbers that nothing of Keras seeds
    if not difference <= _ROOM * _difference(answers, _slightly_changed(model, x)):
        raise InvariantError(
            f"The copy of {model.name!r} answers differently, by {difference:.2g} of the largest "
            f"answer. A copy must answer as before, to {_tolerance(model):g} or what rounding "
            "makes. Please report the model."
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
    """Calls a layer; random numbers are drawn from the same seeds each time."""
    with keras.StatelessScope():
        return layer(*args, **kwargs)


def _run(model: keras.Model, x: Any, visit: Callable[..., None]) -> Any:
    """Calls a model at inference, and `visit` after each operation, in nested models too.

    Args:
        model: The model.
        x: What it is called on.
        visit: Is given the operation, its arguments, its keyword arguments, and what it returned.
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
    """The largest difference of two answers, over the largest number among those expected."""
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
    """The largest value for the types that layers compute in."""
    types = {layer.compute_dtype for layer in _inside(operation)}
    return max((values.get(kind, usual) for kind in types), default=usual)


@contextlib.contextmanager
def _restored(*models: keras.Model) -> Iterator[None]:
    """Puts back variables that no scope of Keras knows of."""
    layers = [layer for model in models for layer in flat_layers(model)]
    unlisted = [variable for layer in layers for variable in unlisted_variables(layer)]
    before = [(v, v.numpy()) for v in unlisted if isinstance(v, tf.Variable)]
    try:
        yield
    finally:
        for variable, value in before:
            variable.assign(value)


def _inputs(model: keras.Model, batch: int) -> Iterator[Any]:
    """Inputs of the shapes and types that a model takes, in case it refuses some of them."""
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
    """One random input, in the layout of its tensor; whole numbers are 0 and 1."""
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
    """One input that is hardly refused by anything: zeros, or one half where floats are taken."""
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
    """Vocabulary of the layers that consume an input; for strings, of any layer of the model."""
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
