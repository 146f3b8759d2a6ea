"""Prepare a model for the converter: fold norms, take dead units out, copy it at batch 1."""

from __future__ import annotations

import contextlib
import itertools
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from tfticket.channels.shrinking import LayerChange
from tfticket.channels.shrinking import shrink as shrink
from tfticket.cloning import clone, in_full_precision
from tfticket.errors import ExportError, ModelError
from tfticket.export.ends import structures
from tfticket.export.runtime import Examples
from tfticket.internals import Functional, calls_of, flat_layers, to_snake_case
from tfticket.norms.folding import fold_batch_norm
from tfticket.sparsity.convert import get_mask, masked_layers, strip
from tfticket.sparsity.mask import Mask
from tfticket.sparsity.wrapper import Masked
from tfticket.state import known_class, named_variables, stable_name, unused
from tfticket.statistics import recalibrate


@dataclass(frozen=True, eq=False)
class Prepared:
    """A model as it is converted.

    Attributes:
        model: Plain, with batch normalization folded into its neighbors, and dead units gone.
        mask: The ticket's mask, of the model before; None without one.
        folded: Key of each norm that is gone, and of the layer that does its work.
        layers: What became of the units of each layer.
        parameters_before: How many numbers the model had.
        parameters_after: How many it has.
        alarms: What looks like a collapsed network, in words.
    """

    model: keras.Model
    mask: Mask | None
    folded: Mapping[str, str]
    layers: tuple[LayerChange, ...]
    parameters_before: int
    parameters_after: int
    alarms: tuple[str, ...]

    @property
    def units_removed(self) -> int:
        """Number of units or channels that were removed."""
        return sum(change.before - change.after for change in self.layers)


def prepare(
    model: keras.Model, mask: Mask | None = None, statistics: Sequence[np.ndarray] | None = None
) -> Prepared:
    """Fold batch normalization and take dead units out; see `fold_batch_norm` and `shrink`.

    Folding comes before the units are looked at, and before calibration, so that weights are
    rounded as they will be used.

    Args:
        model: A built Sequential or Functional model, sparsified or plain. It isn't changed.
        mask: The ticket's mask, for a plain model; a sparsified one has its own.
        statistics: Batches of training inputs, of the size used in training, to take the statistics
            of batch normalization from again: those of a model that was pruned and not trained
            since are of the network before. They are left as they are when None.

    Raises:
        ExportError: when a pruned weight isn't zero, or the model can't be exported at all.
        ModelError: for a subclassed model.

    Example:
        >>> layers = keras.layers
        >>> model = keras.Sequential(
        ...     [keras.Input((4,)), layers.Dense(8), layers.BatchNormalization(), layers.Dense(2)]
        ... )
        >>> prepared = prepare(model)
        >>> prepared.parameters_before, prepared.parameters_after, prepared.units_removed
        (90, 58, 0)
    """
    check_exportable(model)
    own = get_mask(model) if masked_layers(model) else mask
    plain = strip(model)
    check_pruned(own, plain)
    if statistics is not None:
        recalibrate(plain, statistics)
    folded = fold_batch_norm(plain)
    shrunk = shrink(folded.model)
    return Prepared(
        model=shrunk.model,
        mask=own,
        folded=folded.folded,
        layers=shrunk.layers,
        parameters_before=model.count_params(),
        parameters_after=shrunk.parameters_after,
        alarms=shrunk.alarms,
    )


def check_pruned(mask: Mask | None, model: keras.Model) -> None:
    """Raise an `ExportError` when a weight that the mask prunes isn't zero."""
    if mask is None:
        return
    named = named_variables(model).items()
    weights = {key: variable.numpy() for key, variable in named if key in mask}
    for key, expected in mask.apply(weights).items():
        leaked = int(np.count_nonzero(expected != weights[key]))
        if leaked:
            raise ExportError(
                "A pruned weight must be zero before the model is exported. Received: "
                f"{leaked:,} that are not, in `{key}`. Give the mask that the model was trained "
                "with, or apply it first."
            )


_MOST_STEPS = 128
_BATCH = 256
_SEED = "seed_generator_state"  # which drawing random numbers changes, and is no memory


def static_copy(model: keras.Model) -> keras.Model:
    """Copy a model as the converter needs it.

    The batch is 1, since with any other the file gets dynamic shapes and operators to compute them;
    wrappers that own masks are gone, their zeros stay; computation is in float32; automatic names
    are counted anew, since names end up in the file and would differ from one copy to the next.

    Several inputs or outputs are lists in the copy, in the order of the model's.

    Raises:
        ModelError: for a subclassed model, which Keras can't copy.
        ExportError: for a model with an input that has a side of unknown length, or takes text.
    """
    check_exportable(model)
    structure, outputs = structures(model)
    several = len(model.inputs) > 1
    numbers = itertools.count()
    given = {layer.name for layer in flat_layers(model) if not _is_automatic(layer)}
    taken = set(given)

    def rename(operation: Any) -> str:
        if operation.name in given:
            return str(operation.name)
        name = unused(stable_name(operation), taken)
        taken.add(name)
        return name

    def one(tensor: keras.KerasTensor) -> keras.KerasTensor:
        name = tensor.name if isinstance(structure, dict) else "input"
        name = f"input_{next(numbers)}" if several else name
        return keras.Input(batch_shape=(1, *tensor.shape[1:]), dtype=tensor.dtype, name=name)

    with warnings.catch_warnings():
        # The copy is called by places; its inputs needn't have the names of a dictionary.
        warnings.filterwarnings("ignore", "When providing `inputs` as a dict")
        static = clone(
            model,
            lambda layer, copy: copy(layer.layer if isinstance(layer, Masked) else layer),
            instead="Rebuild it with the functional API.",
            # A state of another batch can't be compared; the file is compared with the copy.
            same=None if _batch_of_state(model) not in (None, 1) else True,
            rename=rename,
            inputs=keras.tree.map_structure(one, structure),
        ).model
    for layer in flat_layers(static):
        if getattr(layer, "stateful", False) and hasattr(layer, "reset_state"):
            layer.reset_state()
    if several or keras.tree.is_nested(outputs):  # the converter takes no others
        static = keras.Model(static.inputs, static.outputs)
    in_full_precision(static).name = "model"
    return static


def _batch_of_state(model: keras.Model) -> int | None:
    """The batch that recurrent layers keep a state for; None where none does."""
    stateful = any(getattr(layer, "stateful", False) for layer in flat_layers(model))
    batch: int | None = model.inputs[0].shape[0]
    return batch if stateful else None


def recurrent_steps(model: keras.Model, *, unrolled: bool = False) -> int:
    """Count the steps that recurrent layers take in an inference, over all of them.

    Args:
        model: A model whose inputs have known sides.
        unrolled: Whether only those count that compute step after step instead of in a loop.
    """
    return sum(
        int(node.input_tensors[0].shape[1])
        for layer in flat_layers(model)
        for node in calls_of(layer)
        for each in _recurrent(layer)
        if each.unroll or not unrolled
    )


def unroll(static: keras.Model, source: str) -> None:
    """Make recurrent layers compute step after step instead of in a loop, with the same answers.

    Args:
        static: A copy, from `static_copy`; it is changed.
        source: What to call the file in an error.

    Raises:
        ExportError: when there are too many steps, each of which is as many operators as a layer.
    """
    steps = recurrent_steps(static)
    if steps > _MOST_STEPS:
        raise ExportError(
            f"{source} would have {steps:,} steps of recurrent layers one after the other, since "
            f"loops can't be calibrated; {_MOST_STEPS} are the most. Choose dynamic (weights in 8 "
            "bits, loops as they are), or give the layers shorter sequences."
        )
    for layer in flat_layers(static):
        if isinstance(layer, keras.layers.RNN):
            layer.unroll = True


def _recurrent(layer: Any) -> list[keras.Layer]:
    """The recurrent layers that a layer of a graph is, or holds for both directions."""
    if isinstance(layer, keras.layers.Bidirectional):
        return [layer.forward_layer, layer.backward_layer]
    return [layer] if isinstance(layer, keras.layers.RNN) else []


def _is_automatic(layer: keras.Layer) -> bool:
    """Tell whether Keras made a layer's name, from its class."""
    inner = layer.layer if isinstance(layer, Masked) else layer
    return bool(stable_name(inner) == to_snake_case(known_class(inner).__name__))


def check_exportable(model: keras.Model) -> None:
    """Raise what `static_copy` would; making the copy can take long."""
    if not isinstance(model, (keras.Sequential, Functional)) or not model.built:
        raise ModelError(
            "Only built Sequential and Functional models can be exported. Received: "
            f"{model.name!r} of the class {type(model).__name__}. Rebuild it with the functional "
            "API, or call a Sequential model on data first."
        )
    for tensor in model.inputs:
        if tensor.dtype == "string":
            raise ExportError(
                f"The model {model.name!r} takes text. A file takes numbers: what turns text into "
                "them (TextVectorization, StringLookup) runs before it. Export the part behind "
                "that, as a model of its own with an input of integers or floats."
            )
        shape = tuple(tensor.shape)
        if None in shape[1:]:
            raise ExportError(
                "A model's inputs must have known sides to be exported, but for the batch. "
                f"Received: the shape {shape}. Rebuild it with keras.Input(shape=...) of the size "
                "it will be used with."
            )


def keeps_state(model: keras.Model) -> bool:
    """Tell whether an inference changes what the next one answers.

    So do recurrent layers with `stateful=True`, and layers that assign to their own variables.
    """
    suspects = [
        layer
        for layer in flat_layers(model)
        if getattr(layer, "stateful", False)
        or (layer.non_trainable_variables and not type(layer).__module__.startswith("keras."))
    ]
    if not suspects:
        return False
    structure, _ = structures(model)
    zeros = [np.zeros([side or 1 for side in t.shape], t.dtype) for t in model.inputs]
    with keras.StatelessScope() as scope:
        model(keras.tree.pack_sequence_as(structure, zeros), training=False)
    seeds = {id(v) for v in model.variables if v.name == _SEED}
    return bool(scope.state_mapping.keys() - seeds)


def predictions(model: keras.Model, x: np.ndarray) -> np.ndarray:
    """Return what a model of one input and output answers to examples, float32, shape (n, ...)."""
    return all_predictions(model, Examples((x,)))[0]


def all_predictions(
    model: keras.Model, x: Examples, *, streaming: bool = False
) -> list[np.ndarray]:
    """Return what the model answers to examples: float32, shape (n, ...), for each output.

    Args:
        model: The model. A state that it keeps is as before afterwards.
        x: The examples.
        streaming: Whether they come one after the other, each with the state that the one before
            has left.
    """
    structure, _ = structures(model)
    answers = []
    with keras.StatelessScope() if streaming else contextlib.nullcontext():
        for batch in x.batches(model.inputs[0].shape[0] or (1 if streaming else _BATCH)):
            given = keras.tree.pack_sequence_as(structure, batch)
            # Called as it is: `predict` would trace it for each model, and keep that in the model.
            found = keras.tree.flatten(model(given, training=False))
            answers.append([keras.ops.convert_to_numpy(each) for each in found])
    return [np.concatenate(each).astype(np.float32) for each in zip(*answers, strict=True)]
