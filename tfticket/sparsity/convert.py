"""Whole models: wrap the layers that have kernels, unwrap them, read and set the mask."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import keras
from keras.src.models.functional import Functional

from tfticket.errors import MaskError, ModelError
from tfticket.sparsity.mask import Mask
from tfticket.sparsity.wrapper import Masked
from tfticket.state import kernels_of, named_variables, prunable_variables


def sparsify(
    model: keras.Model, mask: Mask | None = None, *, skip: Iterable[str] = ()
) -> keras.Model:
    """A copy of the model whose layers own masks.

    Works for Sequential and Functional models, nested ones and shared layers too. Names, outputs
    and weights stay; a compiled model gives a compiled copy with a fresh optimizer.

    Args:
        model: A built model; it isn't changed.
        mask: What to keep; everything when None.
        skip: Glob patterns of keys to leave without a mask (`output/*`).

    Returns:
        A model of the same architecture with `Masked` layers.

    Raises:
        ModelError: for a subclassed model, which Keras can't clone: use the callback `KeepMask` for
            it instead.
        MaskError: when the mask doesn't fit.
    """
    chosen = prunable_variables(model, skip)
    if mask is not None:
        check_mask(mask, {key: tuple(variable.shape) for key, variable in chosen.items()})
    wanted = {id(variable) for variable in chosen.values()}

    def wrap(layer: keras.Layer) -> keras.Layer:
        kernels = {} if isinstance(layer, Masked) else kernels_of(layer)
        dense = tuple(key for key, kernel in kernels.items() if id(kernel) not in wanted)
        copy = _copy(layer)
        return copy if len(dense) == len(kernels) else Masked(copy, skip=dense)

    sparse = _clone(model, wrap)
    if mask is not None:
        set_mask(sparse, mask)
    return sparse


def strip(model: keras.Model) -> keras.Model:
    """A copy of a sparsified model as plain Keras: no wrappers, the zeros in place.

    The copy needs nothing of tfticket to be loaded. Without its masks it does not stay sparse in
    further training.
    """
    return _clone(model, lambda layer: _copy(layer.layer if isinstance(layer, Masked) else layer))


def masked_layers(model: keras.Model) -> list[Masked]:
    """The `Masked` layers of the model, also those of nested models, each once."""
    return [layer for layer in model._flatten_layers() if isinstance(layer, Masked)]


def mask_variables(model: keras.Model) -> dict[str, keras.Variable]:
    """The mask variables that the model's `Masked` layers own, by the key of the weight."""
    key_of = {id(variable): key for key, variable in named_variables(model).items()}
    found = {}
    for layer in masked_layers(model):
        kernels = layer.kernels
        for own_key, mask in layer.masks.items():
            found[key_of[id(kernels[own_key])]] = mask
    return {key: found[key] for key in key_of.values() if key in found}


def get_mask(model: keras.Model) -> Mask:
    """The mask of a sparsified model.

    Raises:
        MaskError: when the model has no `Masked` layer.
    """
    variables = mask_variables(model)
    if not variables:
        raise MaskError(
            f"The model {model.name!r} has no `Masked` layer, so it has no mask. Make a sparse "
            "copy with `sparsify(model)`."
        )
    return Mask({key: v.numpy() for key, v in variables.items()})


def set_mask(model: keras.Model, mask: Mask) -> None:
    """Gives a sparsified model a new mask and zeroes what it prunes.

    Raises:
        MaskError: when the mask doesn't cover the same variables; nothing is changed then.
    """
    variables = mask_variables(model)
    check_mask(mask, {key: tuple(variable.shape) for key, variable in variables.items()})
    for key, variable in variables.items():
        variable.assign(mask[key])
    for layer in masked_layers(model):
        layer.enforce()


def check_mask(mask: Mask, shapes: dict[str, tuple[int, ...]]) -> None:
    """Raises a `MaskError` that lists every key or shape in which mask and model differ."""
    problems = [f"`{key}` is not in the model" for key in mask if key not in shapes]
    problems += [f"`{key}` is not in the mask" for key in shapes if key not in mask]
    problems += [
        f"`{key}` has the shape {shapes[key]}, its mask {mask[key].shape}"
        for key in mask
        if key in shapes and mask[key].shape != shapes[key]
    ]
    if problems:
        raise MaskError(f"A mask must fit the model it is for. Differing: {'; '.join(problems)}.")


def _clone(model: keras.Model, convert: Callable[[keras.Layer], keras.Layer]) -> keras.Model:
    if not isinstance(model, (keras.Sequential, Functional)):
        raise ModelError(
            "Only Sequential and Functional models can be copied layer by layer. Received: "
            f"{model.name!r} of the class {type(model).__name__}. For a subclassed model give the "
            "callback `KeepMask` (or `TicketSearch`) to `fit`: it masks the variables in place."
        )

    def convert_layer(operation: Any) -> Any:
        # Functions such as `keras.ops.add` stand in the graph too; they hold nothing to convert.
        return convert(operation) if isinstance(operation, keras.Layer) else _copy(operation)

    weights = {key: variable.value for key, variable in named_variables(model).items()}
    clone = keras.models.clone_model(
        model, _named_inputs(model), clone_function=convert_layer, recursive=True
    )
    for key, variable in named_variables(clone).items():
        variable.assign(weights[key])
    return clone


def _named_inputs(model: keras.Model) -> Any:
    """New inputs like the model's. Keras' own would lose the automatic names of input layers."""
    if isinstance(model, keras.Sequential):
        return None
    return keras.tree.map_structure(
        lambda x: keras.Input(
            batch_shape=x.shape, dtype=x.dtype, name=x._keras_history.operation.name
        ),
        model._inputs_struct,
    )


def _copy(layer: Any) -> Any:
    return layer.__class__.from_config(layer.get_config())
