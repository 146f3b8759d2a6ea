"""All that tfticket uses of Keras beyond what Keras promises.

Nothing else imports `keras.src` or reads an attribute of Keras whose name begins with `_`. When a
release of Keras changes one of these, `tests/test_internals.py` names it.
"""

from __future__ import annotations

from collections.abc import Iterator
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
    """List what a layer made itself, frozen or not: first what learns, then what doesn't."""
    return [*own_weights(layer), *layer._non_trainable_variables]


def own_weights(layer: keras.Layer) -> list[keras.Variable]:
    """List what a layer made itself to be learned, frozen or not."""
    return list(layer._trainable_variables)


def own_seeds(layer: keras.Layer) -> list[keras.Variable]:
    """List the states of the seed generators that a layer made itself."""
    return [generator.state for generator in layer._seed_generators]


def copy_trainable(source: keras.Layer, target: keras.Layer) -> None:
    """Lets a layer be trained as another is; the property would change the layers inside too."""
    target._trainable = source._trainable


def copy_masking(source: keras.Layer, target: keras.Layer) -> None:
    """Lets a layer pass on masks as another does, which may have been set from outside."""
    target._supports_masking = source._supports_masking


def first_layer(model: keras.Sequential) -> keras.Layer:
    """The first layer of a Sequential model, its input included, which `layers` leaves out."""
    return model._layers[0]


def call_parameters(layer: keras.Layer) -> Any:
    """The parameters of a layer's `call`, by name, as `inspect.signature` gives them."""
    return layer._call_signature.parameters


def copy_call(source: keras.Layer, target: keras.Layer) -> None:
    """Lets a layer be called as another is: Keras reads all this off `call`."""
    target._call_signature = source._call_signature
    target._call_has_training_arg = source._call_has_training_arg
    target._call_has_mask_arg = source._call_has_mask_arg
    target._call_has_context_arg = dict(source._call_has_context_arg)
    target._allow_non_tensor_positional_args = source._allow_non_tensor_positional_args
    target._convert_input_args = source._convert_input_args


def takes_training(operation: Any) -> bool:
    """Whether the `call` of a layer or model has a `training` argument; functions have none."""
    return bool(getattr(operation, "_call_has_training_arg", False))


# Graphs


def graph_of(model: keras.Model) -> Any:
    """The Functional model that a Sequential one holds, None before it is built; others as is."""
    return model._functional if isinstance(model, keras.Sequential) else model


def nodes_of(graph: Any) -> Iterator[Any]:
    """Yield the calls of a graph, inputs first, each after those that it reads."""
    for depth in sorted(graph._nodes_by_depth, reverse=True):  # the inputs are the deepest
        yield from graph._nodes_by_depth[depth]


def maker_of(tensor: keras.KerasTensor) -> Any:
    """The layer, model or function that returned a symbolic tensor."""
    return tensor._keras_history.operation


def calls_of(operation: Any) -> list[Any]:
    """The nodes in which an operation was called."""
    return list(operation._inbound_nodes)


def readers_of(operation: Any) -> list[Any]:
    """The operations that were called on what an operation returned."""
    return [node.operation for node in operation._outbound_nodes]


def input_structure(model: keras.Model) -> Any:
    """The symbolic inputs of a Functional model, in the structure that it takes."""
    return model._inputs_struct


def run_graph(graph: Any, x: Any, function_of: Any) -> Any:
    """What a Functional model returns with `function_of(operation)` in place of each operation."""
    return graph._run_through_graph(graph._standardize_inputs(x), operation_fn=function_of)


# Training


def compile_arguments(model: keras.Model) -> dict[str, Any]:
    """What a model was compiled with, as it was given."""
    return dict(model._compile_config.config)


def training_loss(
    model: keras.Model, x: Any, y: Any, y_pred: Any, sample_weight: Any, *, training: bool = True
) -> Any:
    """The loss that a training step minimizes, or a test step reports, a scalar."""
    return model._compute_loss(x, y, y_pred, sample_weight, training=training)


def count_loss(model: keras.Model, loss: Any, *, examples: Any) -> None:
    """Adds the loss of a batch to the mean that `fit` and `evaluate` report."""
    model._loss_tracker.update_state(loss, sample_weight=examples)


def build_by_batch(model: keras.Model, batch: Any) -> None:
    """Builds a compiled model, its metrics and its optimizer for a batch."""
    model._symbolic_build(data_batch=batch)


def evaluation_data(model: keras.Model) -> Any:
    """The validation data that `fit` keeps from epoch to epoch; None while there are none."""
    kept = getattr(model, "_eval_epoch_iterator", None)
    return getattr(kept, "_distributed_dataset", None)


def set_evaluation_data(model: keras.Model, data: Any) -> None:
    """Puts other validation data in the place of those that `fit` keeps."""
    model._eval_epoch_iterator._distributed_dataset = data


def with_optionals(model: keras.Model, function: Any) -> Any:
    """A function that takes batches as Keras' iterators give them, which may be empty."""
    return model._autoconvert_optionals(function)


def optimized(optimizer: keras.Optimizer) -> list[keras.Variable]:
    """The variables that an optimizer was built for."""
    return list(optimizer._trainable_variables)


def updates_made(optimizer: keras.Optimizer) -> int:
    """How often an optimizer was applied; with accumulated gradients more often than updated."""
    return int(optimizer._iterations.numpy())  # `int` of the variable fails under a strategy


def place_in(optimizer: keras.Optimizer, variable: keras.Variable) -> int:
    """Where an optimizer keeps what it knows of a variable."""
    return int(optimizer._get_variable_index(variable))


def moving_average(optimizer: keras.Optimizer, variable: keras.Variable) -> keras.Variable:
    """What `use_ema` keeps of a variable."""
    return optimizer._model_variables_moving_average[place_in(optimizer, variable)]


def adam_moments(
    optimizer: keras.optimizers.Adam, variable: keras.Variable
) -> tuple[keras.Variable, keras.Variable]:
    """Adam's first and second moment of a variable."""
    place = place_in(optimizer, variable)
    return optimizer._momentums[place], optimizer._velocities[place]


def has_schedule(optimizer: keras.Optimizer) -> bool:
    """Whether the learning rate follows a schedule of iterations."""
    schedule = keras.optimizers.schedules.LearningRateSchedule
    return isinstance(optimizer._learning_rate, schedule)


def has_constant_rate(optimizer: keras.Optimizer) -> bool:
    """Whether the learning rate is a number: neither a schedule nor a function."""
    return isinstance(optimizer._learning_rate, keras.Variable)
