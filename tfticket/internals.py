"""All that tfticket uses of Keras beyond Keras' public interface.

No other module imports `keras.src` or names an attribute of Keras that begins with `_`. When a
release of Keras changes one of these, `tests/test_internals.py` says which.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras
from keras.src.backend import get_keras_mask as get_keras_mask
from keras.src.backend.common import global_state as global_state
from keras.src.models.functional import Functional as Functional
from keras.src.saving.serialization_lib import in_safe_mode as in_safe_mode
from keras.src.trainers.compile_utils import CompileMetrics as CompileMetrics
from keras.src.trainers.compile_utils import get_loss as get_loss
from keras.src.trainers.trainer import Trainer as Trainer
from keras.src.utils.io_utils import print_msg as print_msg
from keras.src.utils.naming import auto_name as auto_name
from keras.src.utils.naming import to_snake_case as to_snake_case
from keras.src.utils.tracking import (
    no_automatic_dependency_tracking as no_automatic_dependency_tracking,
)

# Layers

LISTED_VARIABLES = ("_trainable_variables", "_non_trainable_variables")
"""Attributes in which a layer lists variables that stand in other attributes, too."""

_BUILD_SHAPES = "_build_shapes_dict"
_SET_BY_TENSORFLOW = ("_self_", "_obj_", "_tf_")  # in objects that hold variables


def set_by_keras(name: str) -> bool:
    """Tell whether Keras or TensorFlow set the attribute of that name on layers or models."""
    return name in _attributes_of_keras() or name.startswith(_SET_BY_TENSORFLOW)


@functools.cache
def _attributes_of_keras() -> frozenset[str]:
    bare = (keras.layers.Layer(name="layer"), keras.Model(name="model"))
    return frozenset({_BUILD_SHAPES}.union(*(vars(each) for each in bare)))


def build_shapes(layer: keras.Layer) -> dict[str, Any]:
    """Return the shapes that a layer was built for, by argument; empty where that is unknown."""
    return getattr(layer, _BUILD_SHAPES, None) or {}


def backing_variable(variable: Any) -> Any:
    """Return TensorFlow's variable inside a variable of Keras; others as they are."""
    return variable._value if isinstance(variable, keras.Variable) else variable


def flat_layers(layer: keras.Layer, *, itself: bool = True, deep: bool = True) -> list[Any]:
    """List a layer and all layers inside it, in Keras' order.

    Args:
        layer: A layer or a model.
        itself: Whether the layer is among them.
        deep: Whether those inside of layers inside are.

    Example:
        >>> model = keras.Sequential([keras.layers.Dense(2, name="a")], name="model")
        >>> [layer.name for layer in flat_layers(model)]
        ['model', 'a']
    """
    return list(layer._flatten_layers(include_self=itself, recursive=deep))


def own_variables(layer: keras.Layer) -> list[keras.Variable]:
    """List the variables that a layer itself made: trainable or frozen weights, then the others."""
    return [*own_weights(layer), *layer._non_trainable_variables]


def own_weights(layer: keras.Layer) -> list[keras.Variable]:
    """List the weights that a layer itself made to be trained, frozen or not."""
    return list(layer._trainable_variables)


def own_seeds(layer: keras.Layer) -> list[keras.Variable]:
    """List the states of the seed generators that a layer itself made."""
    return [generator.state for generator in layer._seed_generators]


def copy_trainable(source: keras.Layer, target: keras.Layer) -> None:
    """Copy whether a layer is trained; the property would change the layers inside it too."""
    target._trainable = source._trainable


def copy_masking(source: keras.Layer, target: keras.Layer) -> None:
    """Copy whether a layer passes on masks, which may have been set from outside."""
    target._supports_masking = source._supports_masking


def first_layer(model: keras.Sequential) -> keras.Layer:
    """Return the first layer of a Sequential model, or its input, which `layers` leaves out."""
    return model._layers[0]


def call_parameters(layer: keras.Layer) -> Any:
    """Return the parameters of a layer's `call`, by name, as `inspect.signature` gives them."""
    return layer._call_signature.parameters


def copy_call(source: keras.Layer, target: keras.Layer) -> None:
    """Copy how a layer is called, which Keras reads off the signature of `call`."""
    target._call_signature = source._call_signature
    target._call_has_training_arg = source._call_has_training_arg
    target._call_has_mask_arg = source._call_has_mask_arg
    target._call_has_context_arg = dict(source._call_has_context_arg)
    target._allow_non_tensor_positional_args = source._allow_non_tensor_positional_args
    target._convert_input_args = source._convert_input_args


@contextlib.contextmanager
def around_calls(layers: Iterable[keras.Layer], around: Callable[..., Any]) -> Iterator[None]:
    """Replace calls of layers by `around(layer, call, *arguments)`, inside a `with` block.

    Args:
        layers: Layers, each once.
        around: Function of the layer, its `call` as it was, and the arguments.
    """
    before: list[tuple[keras.Layer, Any]] = []
    try:
        for layer in layers:
            before.append((layer, vars(layer).get("call")))
            layer.call = functools.partial(around, layer, layer.call)
        yield
    finally:
        for layer, call in before:
            if call is None:
                vars(layer).pop("call", None)
            else:
                layer.call = call


def takes_training(operation: Any) -> bool:
    """Tell whether the `call` of a layer or model takes `training`; functions don't."""
    return bool(getattr(operation, "_call_has_training_arg", False))


# Graphs


def graph_of(model: keras.Model) -> Any:
    """Return the Functional model inside a Sequential one (None before it is built), or `model`."""
    return model._functional if isinstance(model, keras.Sequential) else model


def nodes_of(graph: Any) -> Iterator[Any]:
    """Yield the nodes of a graph in topological order, inputs first."""
    for depth in sorted(graph._nodes_by_depth, reverse=True):  # the inputs are the deepest
        yield from graph._nodes_by_depth[depth]


def function_name(operation: Any) -> str:
    """Return the name of the class of a function of `keras.ops` in a graph; empty for others."""
    kind = type(operation)
    ours = kind.__module__.startswith("keras.src.ops.")
    return kind.__name__ if ours and not isinstance(operation, keras.Layer) else ""


def maker_of(tensor: keras.KerasTensor) -> Any:
    """Return the operation (layer, model or function) that made a symbolic tensor."""
    return tensor._keras_history.operation


def calls_of(operation: Any) -> list[Any]:
    """List the nodes in which an operation was called."""
    return list(operation._inbound_nodes)


def readers_of(operation: Any) -> list[Any]:
    """List the operations that were called on the outputs of an operation."""
    return [node.operation for node in operation._outbound_nodes]


def input_structure(model: keras.Model) -> Any:
    """Return the symbolic inputs of a Functional model, in the structure that it takes."""
    return model._inputs_struct


def run_graph(graph: Any, x: Any, function_of: Any) -> Any:
    """Run a Functional model with `function_of(operation)` in place of each operation."""
    return graph._run_through_graph(graph._standardize_inputs(x), operation_fn=function_of)


# Training


def compile_arguments(model: keras.Model) -> dict[str, Any]:
    """Return the arguments of `compile`, as they were given."""
    return dict(model._compile_config.config)


def training_loss(
    model: keras.Model, x: Any, y: Any, y_pred: Any, sample_weight: Any, *, training: bool = True
) -> Any:
    """Return the loss that a training step minimizes, or a test step reports, a scalar."""
    return model._compute_loss(x, y, y_pred, sample_weight, training=training)


def count_loss(model: keras.Model, loss: Any, *, examples: Any) -> None:
    """Add the loss of a batch to the mean that `fit` and `evaluate` report."""
    model._loss_tracker.update_state(loss, sample_weight=examples)


def compiled_metrics(model: keras.Model) -> list[Any]:
    """List the objects that `compile` made to track losses and metrics, which `fit` resets."""
    losses = [] if model._compile_loss is None else model._compile_loss.metrics
    made = [model._compile_metrics, model._loss_tracker, *losses]
    return [each for each in made if each is not None]


def build_by_batch(model: keras.Model, batch: Any) -> None:
    """Build a compiled model, its metrics and its optimizer for a batch."""
    model._symbolic_build(data_batch=batch)


def evaluation_data(model: keras.Model) -> Any:
    """Return the validation data that `fit` keeps between epochs; None while there are none."""
    kept = getattr(model, "_eval_epoch_iterator", None)
    return getattr(kept, "_distributed_dataset", None)


def set_evaluation_data(model: keras.Model, data: Any) -> None:
    """Replace the validation data that `fit` keeps between epochs."""
    model._eval_epoch_iterator._distributed_dataset = data


def with_optionals(model: keras.Model, function: Any) -> Any:
    """Wrap a function of batches for Keras' iterators, which may yield none."""
    return model._autoconvert_optionals(function)


def function_of_steps(model: keras.Model, step: Any) -> Any:
    """Compile a step as `fit` compiles `train_step`: a function of an iterator of batches."""
    return model._make_function(step)


def is_function_of_keras(function: Any) -> bool:
    """Tell whether Keras made what stands in `model.train_function`."""
    return str(getattr(function, "__module__", "")).startswith("keras.")


def optimized(optimizer: keras.Optimizer) -> list[keras.Variable]:
    """List the variables that an optimizer was built for."""
    return list(optimizer._trainable_variables)


def updates_made(optimizer: keras.Optimizer) -> int:
    """Count the calls of `apply`; with accumulated gradients there are more than updates."""
    return int(optimizer._iterations.numpy())  # `int` of the variable fails under a strategy


def place_in(optimizer: keras.Optimizer, variable: keras.Variable) -> int:
    """Return the index of a variable in the slots of an optimizer."""
    return int(optimizer._get_variable_index(variable))


def slots_of(optimizer: keras.Optimizer, variable: keras.Variable) -> list[keras.Variable]:
    """List what an optimizer remembers of each weight of a variable: moments, averages."""
    place, many = place_in(optimizer, variable), len(optimized(optimizer))
    lists = [each for each in vars(optimizer).values() if isinstance(each, list)]
    held = [each[place] for each in lists if len(each) == many]
    return [
        slot
        for slot in held
        if isinstance(slot, keras.Variable)
        and slot is not variable
        and slot.shape == variable.shape
    ]


def moving_average(optimizer: keras.Optimizer, variable: keras.Variable) -> keras.Variable:
    """Return the average of a variable that `use_ema` keeps."""
    return optimizer._model_variables_moving_average[place_in(optimizer, variable)]


def adam_moments(
    optimizer: keras.optimizers.Adam, variable: keras.Variable
) -> tuple[keras.Variable, keras.Variable]:
    """Return Adam's first and second moment of a variable."""
    place = place_in(optimizer, variable)
    return optimizer._momentums[place], optimizer._velocities[place]


def given_learning_rate(optimizer: keras.Optimizer) -> Any:
    """Return the learning rate as a variable, a schedule of iterations, or a function."""
    return optimizer._learning_rate
