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

Also = str | Iterable[str] | Callable[[str, keras.Variable], Any]
"""Which weights are pruned beside kernels: glob patterns of keys, or a rule of key and variable."""


class MaskOwner(keras.layers.Wrapper):
    """Abstract base of the wrapper that owns masks; keys pass through it as if it weren't there.

    It is defined this low so that keys can be made without knowing what a mask does.
    """

    @property
    def kernels(self) -> dict[str, keras.Variable]:
        """The weights that have a mask, by key inside the layer."""
        raise NotImplementedError


class StandIn(keras.layers.Layer):
    """Abstract base of layers that compute what one of Keras does, in another way.

    What is known of that layer holds for them, its weights and its automatic name too.

    Attributes:
        stands_for: The class of Keras.
    """

    stands_for: ClassVar[type[keras.layers.Layer]]


def known_class(layer: keras.Layer) -> type[keras.Layer]:
    """The layer's class, or that of Keras which it stands for; a child of a `StandIn` doesn't."""
    kind: type[keras.Layer] = vars(type(layer)).get("stands_for", type(layer))
    return kind


def named_variables(model: keras.Model) -> dict[str, keras.Variable]:
    """Every variable of the model's state by key, in the order of its layers.

    That is weights, moving statistics and the states of seed generators; not masks, metrics or the
    optimizer's variables. A shared layer is listed once, where it is met first.

    Raises:
        ModelError: when the model has no variables yet.
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
    """The variables that can be pruned, by key: floating-point kernels of rank 2 or more.

    Never biases, embeddings, or the parameters of normalization layers, unless they are asked for
    or have a mask. The kernels of depthwise, separable, transposed, recurrent, einsum and attention
    layers are among them.

    Args:
        model: A built model.
        skip: Glob patterns of keys to leave dense (`output/*`).
        also: What else: glob patterns of keys (`own/weights`), or a rule of key and variable.

    Raises:
        ModelError: when a pattern fits no kernel, or nothing is left to prune.
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
    """The prunable variables inside one layer, by key relative to it; none for most layers.

    What has a mask is among them, whatever it is called.
    """
    owners = [each for each in flat_layers(layer) if isinstance(each, MaskOwner)]
    masked = {id(variable) for owner in owners for variable in owner.kernels.values()}
    return {
        key: variable
        for key, variable in _matrices(layer).items()
        if variable.name.endswith("kernel") or id(variable) in masked
    }


def left_dense(model: keras.Layer) -> dict[str, tuple[str, tuple[int, ...]]]:
    """The weights of layers of the user's own that look prunable but aren't called `kernel`.

    Nothing prunes them unless it is asked to; see `also` of `prunable_variables`.

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
    """The keys of the weights that a rule or patterns ask for.

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
    """Every layer inside the model by key, each once, in order; a wrapper that owns masks as such.

    The key of a layer is that of its variables without the variable's own name.
    """
    named: dict[str, keras.Layer] = {}
    seen: set[int] = {id(model)}
    for path, layer in _walk(model, ()):
        if id(layer) not in seen and "/".join(path) not in named:
            named["/".join(path)] = layer
        seen.add(id(layer))
    return named


def variable_owners(root: keras.Layer) -> dict[str, tuple[keras.Layer, keras.Variable]]:
    """Key to a variable and the innermost layer that holds it, over the whole state."""
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
    """Lets layers derive again what they derive from their variables, after these were written.

    An adapted `Normalization` computes with constants that it takes from its variables when it
    loads them: without this, weights written by key would count in the saved file only.
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
    # The one place that asks Keras for the layers inside a layer of any kind.
    for child in flat_layers(layer, itself=False, deep=False):
        if isinstance(child, keras.metrics.Metric):
            continue
        name = unused(stable_name(child), taken)
        taken.add(name)
        yield from _walk(child, path if isinstance(layer, MaskOwner) else (*path, name))


def stable_name(layer: keras.Layer) -> str:
    """The layer's name; an automatic one without the number that counts through the process."""
    kind = layer.layer if isinstance(layer, MaskOwner) else layer
    return _without_number(to_snake_case(known_class(kind).__name__), layer.name)


def _without_number(automatic: str, name: str) -> str:
    return automatic if re.fullmatch(rf"{automatic}(_\d+)?", name) else name


def _own_variables(layer: keras.Layer) -> Iterator[keras.Variable]:
    """The variables that the layer itself holds, in the order of creation."""
    if isinstance(layer, MaskOwner):
        return
    yield from own_variables(layer)
    yield from own_seeds(layer)


def unused(name: str, taken: Container[str]) -> str:
    """`name`, or `name_1`, `name_2`, ... where it is taken."""
    candidate, number = name, 0
    while candidate in taken:
        number += 1
        candidate = f"{name}_{number}"
    return candidate


@dataclass(frozen=True)
class Snapshot:
    """All that training changes, as plain arrays: enough to go on from here.

    Attributes:
        variables: Key to array; weights, moving statistics, seed generators.
        optimizer: Values of the optimizer's variables in its order (`iterations` and the learning
            rate among them), or None when they were not captured.
        step: Optimizer steps made.
        others: Values of `other_variables` by path; None where they were not captured.
    """

    variables: dict[str, np.ndarray]
    optimizer: list[np.ndarray] | None
    step: int
    others: dict[str, np.ndarray] | None = None

    _KIND: ClassVar[str] = "snapshot"

    @classmethod
    def capture(cls, model: keras.Model, *, step: int, optimizer: bool = True) -> Snapshot:
        """Copies the state of a model.

        Args:
            model: A built model.
            step: Optimizer steps made.
            optimizer: Copy the state of its optimizer, if it has one, and its other variables too.
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
        """Writes the state back.

        Raises:
            TicketError: when keys or shapes don't fit; nothing is changed then.
            ModelError: when the model has other variables than it had when the state was captured.
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
        """Writes one `.npz`, whole or not at all."""
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
        """Reads what `save` wrote; raises `TicketError` when it is missing or damaged."""
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
    """The optimizer's variables, which are made first where they don't exist yet.

    Raises:
        ModelError: when the model isn't compiled.
    """
    if not _has_optimizer(model):
        raise ModelError(f"The model {model.name!r} must be compiled with an optimizer first.")
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    return list(model.optimizer.variables)


def other_variables(model: keras.Model) -> dict[str, Any]:
    """The variables that training may change beside the model's state and its optimizer, by path.

    They are what a model holds for a training step of its own: a second optimizer, counters,
    `tf.Variable`s, metrics. Masks aren't among them, nor what `fit` resets at each epoch: the
    metrics that the model was compiled with.
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
    """The optimizer that updates the weights, inside the loss scaling of mixed precision."""
    optimizer = model.optimizer
    while isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        optimizer = optimizer.inner_optimizer
    return optimizer


def _has_optimizer(model: keras.Model) -> bool:
    # Before `compile` a model doesn't even have the attribute.
    return model.compiled and model.optimizer is not None


def check_fit(arrays: dict[str, np.ndarray], named: dict[str, keras.Variable]) -> None:
    """Raises a `TicketError` that lists every key or shape in which the two differ."""
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
        f"Training made or removed variables of the model, so they can't be set back: "
        f"{', '.join(f'`{path}`' for path in paths[:5])}{' ...' if len(paths) > 5 else ''}. All "
        "variables must exist before training begins: build a second optimizer by "
        "`optimizer.build(variables)`, and make other variables when the model is made."
    )


def _named(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """The arrays whose names have the prefix, without it; raises `TypeError` for no numbers."""
    return {
        name.removeprefix(prefix): numbers(array, name)
        for name, array in arrays.items()
        if name.startswith(prefix)
    }


def _value(variable: Any) -> np.ndarray:
    return np.array(variable.numpy())
