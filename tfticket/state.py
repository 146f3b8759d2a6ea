"""The state of a model: its variables by stable keys, which of them can be pruned, and snapshots.

A *key* is a variable's path relative to the model: the names of the layers on the way, joined by
`/`, then the variable's own name (`block1/conv/kernel`). The model's name and the wrappers that own
masks are left out, and automatic names count anew inside each parent (`dense`, `dense_1`), so a
plain model, its sparsified copy, its reloaded file and a rebuilt one all have the same keys.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np

from tfticket.errors import ModelError, TicketError
from tfticket.files import load_arrays, numbers, whole_number, write_arrays
from tfticket.internals import (
    compiled_metrics,
    flat_layers,
    own_seeds,
    own_variables,
    own_weights,
    to_snake_case,
)
from tfticket.introspection import held_variables, is_own
from tfticket.wording import brief_repr

__all__ = ["Snapshot", "kernels_of", "named_layers", "named_variables", "prunable_variables"]

Also = str | Iterable[str] | Callable[[str, keras.Variable], Any]
"""Weights to prune beside kernels: glob patterns of keys, or a predicate of key and variable."""


class MaskOwner(keras.layers.Wrapper):
    """Abstract base of the wrapper that owns masks, and that keys leave out.

    It is defined here so that keys don't depend on masks.
    """

    @property
    def kernels(self) -> dict[str, keras.Variable]:
        """Weights that have a mask, by key inside the layer."""
        raise NotImplementedError


class StandIn(keras.layers.Layer):
    """Abstract base of layers that compute the same as a layer of Keras in another way.

    They are treated like that layer, with its weights and its automatic name.

    Attributes:
        stands_for: The class of Keras.
    """

    stands_for: ClassVar[type[keras.layers.Layer]]


def known_class(layer: keras.Layer) -> type[keras.Layer]:
    """Return the class of a layer, or the class of Keras that a `StandIn` stands for.

    A subclass of a `StandIn` has its own class.
    """
    kind: type[keras.Layer] = vars(type(layer)).get("stands_for", type(layer))
    return kind


def named_variables(model: keras.Model) -> dict[str, keras.Variable]:
    """Map keys to all variables of the model's state, in the order of its layers.

    These are weights, moving statistics and the states of seed generators; not masks, metrics or
    the optimizer's variables. A shared layer is listed once, at its first place.

    Raises:
        ModelError: when the model has no variables yet.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
        >>> list(named_variables(model))
        ['dense/kernel', 'dense/bias']
    """
    named = {key: variable for key, (_, variable) in variable_owners(model).items()}
    if not named:
        raise ModelError(
            "A model must have its variables before they can be listed. Received: the model "
            f"{model.name!r} without any; call it on data or `build` it first."
        )
    return named


def prunable_variables(
    model: keras.Model, skip: Iterable[str] = (), also: Also = ()
) -> dict[str, keras.Variable]:
    """Map keys to the variables that can be pruned: floating-point kernels of rank 2 or more.

    The kernels of depthwise, separable, transposed, recurrent, einsum and attention layers are
    among them; biases, embeddings and the parameters of normalization layers only if `also` names
    them or they have a mask.

    Args:
        model: A built model.
        skip: Glob patterns of keys to leave dense (`output/*`).
        also: Further weights: glob patterns of keys (`own/weights`), or a predicate of key and
            variable.

    Raises:
        ModelError: when a pattern fits no kernel, or nothing is left to prune.

    Example:
        >>> layers = [keras.layers.Dense(3, name="hidden"), keras.layers.Dense(2, name="output")]
        >>> model = keras.Sequential([keras.Input((4,)), *layers])
        >>> list(prunable_variables(model, skip=["output/*"]))
        ['hidden/kernel']
    """
    named_variables(model)  # says so when there are none yet
    more = asked_for(model, also)
    fit = kernels_of(model)
    kernels = {key: v for key, v in _matrices(model).items() if key in fit or key in more}
    for pattern in skip:
        fitting = fnmatch.filter(kernels, pattern)
        if not fitting and not fnmatch.filter(left_dense(model), pattern):
            raise ModelError(
                f"Each pattern of `skip` must fit a kernel of the model. Received: {pattern!r}, "
                f"which fits none that is left of {sorted(kernels)}."
            )
        for key in fitting:
            del kernels[key]
    if not kernels:
        others = f" There are {sorted(left_dense(model))} to be asked for by `also`."
        raise ModelError(
            f"A model must have a kernel that can be pruned. Received: {model.name!r}, "
            f"{'where none is left' if model.built else 'which is not built yet; call it first'}."
            + (others if left_dense(model) else "")
        )
    return kernels


def kernels_of(layer: keras.Layer) -> dict[str, keras.Variable]:
    """Map keys, relative to a layer, to the kernels inside it; empty for most layers.

    Weights that have a mask are among them, whatever their name.

    Example:
        >>> layer = keras.layers.Dense(3)
        >>> layer.build((None, 4))
        >>> list(kernels_of(layer))
        ['kernel']
    """
    owners = [each for each in flat_layers(layer) if isinstance(each, MaskOwner)]
    masked = {id(variable) for owner in owners for variable in owner.kernels.values()}
    return {
        key: variable
        for key, variable in _matrices(layer).items()
        if variable.name.endswith("kernel") or id(variable) in masked
    }


def left_dense(model: keras.Layer) -> dict[str, tuple[str, tuple[int, ...]]]:
    """List weights of the user's own layers that look prunable but aren't called `kernel`.

    They are pruned only if `also` of `prunable_variables` names them.

    Returns:
        Key to the name of the layer's class and the shape.
    """
    fit = kernels_of(model)
    return {
        key: (type(layer).__name__, tuple(variable.shape))
        for key, (layer, variable) in variable_owners(model).items()
        if key not in fit and is_own(layer) and _is_matrix(variable) and _learns(layer, variable)
    }


def _matrices(layer: keras.Layer) -> dict[str, keras.Variable]:
    owners = variable_owners(layer)
    return {key: variable for key, (_, variable) in owners.items() if _is_matrix(variable)}


def _is_matrix(variable: keras.Variable) -> bool:
    return len(variable.shape) >= 2 and keras.backend.is_float_dtype(variable.dtype)


def _learns(layer: keras.Layer, variable: keras.Variable) -> bool:
    return any(variable is each for each in own_weights(layer))  # frozen or not


def asked_for(model: keras.Model, also: Also) -> set[str]:
    """Return the keys of the weights that patterns or a predicate select.

    Raises:
        ModelError: when a pattern fits none.
    """
    matrices = _matrices(model)
    if callable(also):
        return {key for key, variable in matrices.items() if also(key, variable)}
    asked = set()
    for pattern in [also] if isinstance(also, str) else also:
        fitting = fnmatch.filter(matrices, pattern)
        if not fitting:
            raise ModelError(
                f"No weight that can be pruned fits {pattern!r}. Each pattern of `also` must fit a "
                "floating-point weight of rank 2 or more. Write one that fits some of "
                f"{sorted(set(matrices) - set(kernels_of(model)))}."
            )
        asked.update(fitting)
    return asked


def named_layers(model: keras.Model) -> dict[str, keras.Layer]:
    """Map keys to all layers inside a model, each once, in order; `Masked` wrappers as such.

    The key of a layer is that of its variables without the variable's own name.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
        >>> list(named_layers(model))
        ['input_layer', 'dense']
    """
    named: dict[str, keras.Layer] = {}
    seen: set[int] = {id(model)}
    for path, layer in _walk(model, ()):
        if id(layer) not in seen and "/".join(path) not in named:
            named["/".join(path)] = layer
        seen.add(id(layer))
    return named


def variable_owners(root: keras.Layer) -> dict[str, tuple[keras.Layer, keras.Variable]]:
    """Map keys to all variables of the state, each with the innermost layer that holds it."""
    owners: dict[str, tuple[keras.Layer, keras.Variable]] = {}
    seen: set[int] = set()
    for path, layer in _walk(root, ()):
        for variable in _own_variables(layer):
            if id(variable) not in seen:
                seen.add(id(variable))
                key = "/".join((*path, _without_number("variable", variable.name)))
                owners[unused(key, owners)] = (layer, variable)
    return owners


def derive_anew(model: keras.Layer) -> None:
    """Update the constants that layers derive from their variables, after these were assigned.

    An adapted `Normalization` computes with constants that it derives from its variables when it
    loads them: without this, assigned values would have an effect in the saved file only.
    """
    for layer in flat_layers(model):
        if hasattr(layer, "finalize_state") and layer.built:
            store: dict[str, Any] = {}
            layer.save_own_variables(store)
            layer.load_own_variables(store)


def _walk(
    layer: keras.Layer, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], keras.Layer]]:
    yield path, layer
    taken: set[str] = set()
    for child in flat_layers(layer, itself=False, deep=False):
        if isinstance(child, keras.metrics.Metric):
            continue
        name = unused(stable_name(child), taken)
        taken.add(name)
        yield from _walk(child, path if isinstance(layer, MaskOwner) else (*path, name))


def stable_name(layer: keras.Layer) -> str:
    """Return the name of a layer; an automatic name without its number in this process."""
    kind = layer.layer if isinstance(layer, MaskOwner) else layer
    return _without_number(to_snake_case(known_class(kind).__name__), layer.name)


def _without_number(automatic: str, name: str) -> str:
    found = re.fullmatch(rf"((?:forward_|backward_)?{automatic})(?:_\d+)?", name)
    return found.group(1) if found else name


def _own_variables(layer: keras.Layer) -> Iterator[keras.Variable]:
    """Yield the variables that the layer itself holds, in the order of creation."""
    if isinstance(layer, MaskOwner):
        return
    yield from own_variables(layer)
    yield from own_seeds(layer)


def unused(name: str, taken: Container[str]) -> str:
    """Return `name`, or `name_1`, `name_2`, ... where it is taken."""
    candidate, number = name, 0
    while candidate in taken:
        number += 1
        candidate = f"{name}_{number}"
    return candidate


@dataclass(frozen=True)
class Snapshot:
    """All state that training changes, as plain arrays: enough to resume.

    Attributes:
        variables: Key to array of weights, moving statistics and seed generators.
        optimizer: Values of the optimizer's variables in its order (`iterations` and the learning
            rate among them), or None if they weren't captured.
        step: Optimizer steps made.
        others: Values of `other_variables` by path; None if they weren't captured.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
        >>> snapshot = Snapshot.capture(model, step=0)
        >>> model.set_weights([np.ones((4, 3)), np.ones(3)])
        >>> snapshot.restore(model)
        >>> float(model.get_weights()[1].max())
        0.0
    """

    variables: dict[str, np.ndarray]
    optimizer: list[np.ndarray] | None
    step: int
    others: dict[str, np.ndarray] | None = None

    _KIND: ClassVar[str] = "snapshot"

    __repr__ = brief_repr

    @classmethod
    def capture(cls, model: keras.Model, *, step: int, optimizer: bool = True) -> Snapshot:
        """Copy the state of a model.

        Args:
            model: A built model.
            step: Optimizer steps made.
            optimizer: Whether to copy the state of its optimizer, if any, and of its other
                variables too.
        """
        variables = {key: _value(variable) for key, variable in named_variables(model).items()}
        if not optimizer:
            return cls(variables, None, step)
        taken = None
        if _has_optimizer(model):
            taken = [_value(variable) for variable in optimizer_variables(model)]
        others = {path: _value(variable) for path, variable in other_variables(model).items()}
        return cls(variables, taken, step, others)

    def restore(self, model: keras.Model) -> None:
        """Restore the state.

        Raises:
            TicketError: when keys or shapes don't fit; nothing is changed then.
            ModelError: when the model has gained or lost variables since the capture.
        """
        named = named_variables(model)
        check_fit(self.variables, named)
        slots = [] if self.optimizer is None else optimizer_variables(model)
        if self.optimizer is not None and [a.shape for a in self.optimizer] != [
            tuple(slot.shape) for slot in slots
        ]:
            raise TicketError(
                "A snapshot's optimizer state must be restored into the same kind of optimizer. "
                f"Received: {len(self.optimizer)} arrays for an optimizer with {len(slots)} "
                "variables, or other shapes."
            )
        others = {} if self.others is None else other_variables(model)
        if others.keys() != (self.others or {}).keys():
            raise ModelError(_appeared(sorted(others.keys() ^ (self.others or {}).keys())))
        for path, array in (self.others or {}).items():
            others[path].assign(array)
        for key, array in self.variables.items():
            named[key].assign(array)
        for slot, array in zip(slots, self.optimizer or [], strict=True):
            slot.assign(array)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write one `.npz`, whole or not at all."""
        arrays = {f"variable:{key}": array for key, array in self.variables.items()}
        arrays |= {f"optimizer:{i:04d}": array for i, array in enumerate(self.optimizer or [])}
        arrays |= {f"other:{path}": array for path, array in (self.others or {}).items()}
        header = {
            "step": self.step,
            "has_optimizer": self.optimizer is not None,
            "has_others": self.others is not None,
        }
        return write_arrays(path, kind=self._KIND, header=header, arrays=arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Snapshot:
        """Read what `save` wrote; raises `TicketError` when it is missing or damaged."""
        return load_arrays(path, cls._decode, kind=cls._KIND, holds="the state of a model")

    @classmethod
    def _decode(cls, header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Snapshot:
        slots = [numbers(arrays[n], n) for n in sorted(arrays) if n.startswith("optimizer:")]
        return cls(
            _named(arrays, "variable:"),
            slots if header["has_optimizer"] else None,
            whole_number(header["step"], "step"),
            _named(arrays, "other:") if header.get("has_others") else None,
        )


def optimizer_variables(model: keras.Model) -> list[keras.Variable]:
    """List the optimizer's variables; an optimizer that isn't built is built.

    Raises:
        ModelError: when the model isn't compiled.
    """
    if not _has_optimizer(model):
        raise ModelError(f"The model {model.name!r} must be compiled with an optimizer first.")
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    return list(model.optimizer.variables)


def other_variables(model: keras.Model) -> dict[str, Any]:
    """Map paths to variables that training may change beside state and optimizer of a model.

    A model with a training step of its own holds them: a second optimizer, counters,
    `tf.Variable`s, metrics. Masks aren't among them, nor the metrics of `compile`, which `fit`
    resets at each epoch.
    """
    known: list[Any] = list(named_variables(model).values())
    if _has_optimizer(model):
        known += optimizer_variables(model)
    for layer in flat_layers(model):
        if isinstance(layer, MaskOwner):
            known += own_variables(layer)
    known += compiled_metrics(model)
    # Functions of `fit`, in whose place ours may stand, which hold variables.
    known += [getattr(model, name, None) for name in ("train_function", "test_function")]
    return held_variables(model, without={id(each) for each in known})


def innermost_optimizer(model: keras.Model) -> keras.optimizers.Optimizer:
    """Return the optimizer that updates the weights, inside the loss scaling of mixed precision."""
    optimizer = model.optimizer
    while isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        optimizer = optimizer.inner_optimizer
    return optimizer


def _has_optimizer(model: keras.Model) -> bool:
    # Before `compile` a model doesn't even have the attribute.
    return model.compiled and model.optimizer is not None


def check_fit(arrays: dict[str, np.ndarray], named: dict[str, keras.Variable]) -> None:
    """Raise a `TicketError` that lists every key or shape in which the two differ."""
    problems = [f"`{key}` is missing in the model" for key in arrays if key not in named]
    problems += [f"`{key}` is missing in the file" for key in named if key not in arrays]
    problems += [
        f"`{key}` has the shape {arrays[key].shape}, in the model {tuple(variable.shape)}"
        for key, variable in named.items()
        if key in arrays and arrays[key].shape != tuple(variable.shape)
    ]
    if problems:
        raise TicketError(
            "State can be restored only into a model with the same variables. "
            f"Differing: {'; '.join(problems)}."
        )


def _appeared(paths: list[str]) -> str:
    return (
        f"Training added or removed variables of the model, so they can't be restored: "
        f"{', '.join(f'`{path}`' for path in paths[:5])}{' ...' if len(paths) > 5 else ''}. All "
        "variables must exist before training begins: build a second optimizer by "
        "`optimizer.build(variables)`, and make other variables when the model is made."
    )


def _named(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """Select arrays by prefix, which is removed; raises `TypeError` for those without numbers."""
    return {
        name.removeprefix(prefix): numbers(array, name)
        for name, array in arrays.items()
        if name.startswith(prefix)
    }


def _value(variable: Any) -> np.ndarray:
    return np.array(variable.numpy())
