"""Sparsify whole models: wrap their layers in `Masked`, unwrap them, read and set the mask."""

from __future__ import annotations

import fnmatch
import warnings
from collections.abc import Container, Iterable

import keras

from tfticket.cloning import Convert, Copy, clone, warn_of_plain_class
from tfticket.errors import MaskError
from tfticket.internals import flat_layers
from tfticket.sparsity.mask import Mask
from tfticket.sparsity.wrapper import Masked
from tfticket.state import (
    Also,
    asked_for,
    kernels_of,
    left_dense,
    named_variables,
    prunable_variables,
    variable_owners,
)
from tfticket.wording import brief

_INSTEAD = (
    "For a subclassed model give the callback `KeepMask` (or `TicketSearch`) to `fit`: it masks "
    "the variables in place."
)


def sparsify(
    model: keras.Model, mask: Mask | None = None, *, skip: Iterable[str] = (), also: Also = ()
) -> keras.Model:
    """Copy a model with `Masked` layers, which keep pruned weights at zero.

    Sequential and Functional models can be copied, with nested models and shared layers. Names,
    outputs and weights stay; the copy of a compiled model is compiled with a fresh optimizer.

    Every kernel gets a mask. A layer of your own may use another name for its weights: these stay
    dense, with a warning, unless `also` or the mask names them; `skip` silences the warning.

    Args:
        model: A built model; it isn't changed.
        mask: Weights to keep. By default all, or those that existing masks of the model keep.
        skip: Glob patterns of keys to leave without a mask (`output/*`).
        also: Weights of rank 2 or more that aren't called `kernel`: glob patterns of their keys
            (`own/weights`), or a predicate of key and variable.

    Returns:
        A model of the same architecture with `Masked` layers.

    Raises:
        TypeError: when `mask` is no `Mask`.
        ModelError: for a subclassed model, which Keras can't clone (use the callback `KeepMask`);
            for a layer that can't be copied, is quantized, or has LoRA.
        MaskError: when the mask doesn't fit.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="out")])
        >>> sparse = sparsify(model, Mask({"out/kernel": np.eye(4, 3)}))
        >>> int(np.count_nonzero(sparse.get_layer("out").kernel))
        3
    """
    require_mask(mask)
    asked = asked_for(model, also).union(mask or ())
    skip = list(skip)
    chosen = prunable_variables(model, skip, lambda key, variable: key in asked)
    if mask is not None:
        check_mask(mask, {key: tuple(variable.shape) for key, variable in chosen.items()})
    _warn_of_dense(model, chosen, skip)
    wanted = {id(variable) for variable in chosen.values()}

    def wrap(layer: keras.Layer, copy: Copy) -> keras.Layer:
        inside = {} if isinstance(layer, Masked) else variable_owners(layer)
        masked = {key for key, (_, variable) in inside.items() if id(variable) in wanted}
        if not masked:
            return copy(layer)
        kernels = kernels_of(layer).keys()
        return Masked(copy(layer), skip=sorted(kernels - masked), also=sorted(masked - kernels))

    sparse = _clone(model, wrap)
    warn_of_plain_class(model, sparse)
    if mask is not None:
        set_mask(sparse, mask)
    return sparse


def strip(model: keras.Model) -> keras.Model:
    """Copy a sparsified model without its `Masked` wrappers, the zeros in place.

    The copy can be loaded without tfticket. It doesn't stay sparse in further training.

    Args:
        model: A model that `sparsify` made; it isn't changed.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
        >>> type(strip(sparsify(model)).layers[0]).__name__
        'Dense'
    """
    return _clone(
        model, lambda layer, copy: copy(layer.layer if isinstance(layer, Masked) else layer)
    )


def masked_layers(model: keras.Model) -> list[Masked]:
    """List the `Masked` layers of a model and of nested models, each once."""
    return [layer for layer in flat_layers(model) if isinstance(layer, Masked)]


def mask_variables(model: keras.Model) -> dict[str, keras.Variable]:
    """Map the keys of weights to the mask variables of `Masked` layers."""
    key_of = {id(variable): key for key, variable in named_variables(model).items()}
    found = {}
    for layer in masked_layers(model):
        kernels = layer.kernels
        for own_key, mask in layer.masks.items():
            found[key_of[id(kernels[own_key])]] = mask
    return {key: found[key] for key in key_of.values() if key in found}


def get_mask(model: keras.Model) -> Mask:
    """Return the mask of a sparsified model.

    Raises:
        MaskError: when the model has no `Masked` layer.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
        >>> get_mask(sparsify(model))
        Mask(1 variables, 12 of 12 weights kept)
    """
    variables = mask_variables(model)
    if not variables:
        raise MaskError(
            f"The model {model.name!r} has no `Masked` layer, so it has no mask. Make a sparse "
            "copy with `sparsify(model)`."
        )
    return Mask({key: v.numpy() for key, v in variables.items()})


def set_mask(model: keras.Model, mask: Mask) -> None:
    """Replace the mask of a sparsified model, and set pruned weights to zero.

    Args:
        model: A model that `sparsify` made; it is changed.
        mask: The new mask.

    Raises:
        MaskError: when the mask doesn't cover the same variables; nothing is changed then.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="out")])
        >>> sparse = sparsify(model)
        >>> set_mask(sparse, Mask({"out/kernel": np.eye(4, 3)}))
        >>> get_mask(sparse).kept
        3
    """
    require_mask(mask)
    variables = mask_variables(model)
    check_mask(mask, {key: tuple(variable.shape) for key, variable in variables.items()})
    for key, variable in variables.items():
        variable.assign(mask[key])
    for layer in masked_layers(model):
        layer.enforce()


def require_mask(mask: object) -> None:
    """Raise a `TypeError` for what is neither a `Mask` nor None."""
    if mask is None or isinstance(mask, Mask):
        return
    held = isinstance(getattr(mask, "mask", None), Mask)
    remedy = "Give its `.mask`." if held else "Make one with `Mask({key: array, ...})`."
    raise TypeError(
        f"`mask` must be a `tfticket.Mask` of keys to boolean arrays. Received: {brief(mask)}. "
        f"{remedy}"
    )


def check_mask(mask: Mask, shapes: dict[str, tuple[int, ...]]) -> None:
    """Raise a `MaskError` that lists every key or shape in which mask and model differ."""
    problems = [f"`{key}` is not in the model" for key in mask if key not in shapes]
    problems += [f"`{key}` is not in the mask" for key in shapes if key not in mask]
    problems += [
        f"`{key}` has the shape {shapes[key]}, its mask {mask[key].shape}"
        for key in mask
        if key in shapes and mask[key].shape != shapes[key]
    ]
    if problems:
        raise MaskError(f"A mask must fit the model it is for. Differing: {'; '.join(problems)}.")


def _clone(model: keras.Model, convert: Convert) -> keras.Model:
    return clone(model, convert, instead=_INSTEAD).model


def _warn_of_dense(model: keras.Model, chosen: Container[str], skip: Iterable[str]) -> None:
    """Warn of weights of the user's own layers that are left dense and weren't skipped."""
    left = {
        key: found
        for key, found in left_dense(model).items()
        if key not in chosen and not any(fnmatch.fnmatch(key, pattern) for pattern in skip)
    }
    if left:
        named = ", ".join(f"`{key}` {shape} of {kind}" for key, (kind, shape) in left.items())
        warnings.warn(
            f"Left dense: {named}. Weights are pruned that are called `kernel`, have rank 2 or "
            f"more and hold floats. To prune these too, give also={sorted(left)}; to leave them "
            "without this warning, give the same as `skip`.",
            stacklevel=3,
        )
