"""Whole models: wrap the layers that have kernels, unwrap them, read and set the mask."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import keras

from tfticket.cloning import clone, copy_layer
from tfticket.errors import MaskError
from tfticket.sparsity.mask import Mask
from tfticket.sparsity.wrapper import Masked
from tfticket.state import kernels_of, named_variables, prunable_variables

_INSTEAD = (
    "For a subclassed model give the callback `KeepMask` (or `TicketSearch`) to `fit`: it masks "
    "the variables in place."
)


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
        copy = copy_layer(layer)
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
    return _clone(
        model, lambda layer: copy_layer(layer.layer if isinstance(layer, Masked) else layer)
    )


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
    copy = clone(model, convert, instead=_INSTEAD)
    weights = {key: variable.value for key, variable in named_variables(model).items()}
    for key, variable in named_variables(copy.model).items():
        variable.assign(weights[key])
    return copy.model
