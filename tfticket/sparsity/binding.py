"""Masks on a model for the duration of one `fit`."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras

from tfticket.errors import InvariantError, MaskError
from tfticket.internals import optimized
from tfticket.sparsity.constraint import MaskConstraint, masked
from tfticket.sparsity.convert import check_mask, mask_variables, require_mask
from tfticket.sparsity.mask import Mask
from tfticket.state import Also, innermost_optimizer, prunable_variables

# Their update of one weight depends on that weight's own gradient only.
_ELEMENTWISE = (
    "Adadelta",
    "Adagrad",
    "Adam",
    "Adamax",
    "AdamW",
    "Ftrl",
    "Lion",
    "Nadam",
    "RMSprop",
    "SGD",
)

Watch = Callable[[Mapping[str, Any]], None]

_BINDINGS: weakref.WeakKeyDictionary[keras.Model, MaskBinding] = weakref.WeakKeyDictionary()


class MaskBinding:
    """Mask variables of one model, lent to it or owned by its `Masked` layers.

    For a sparsified model these are the masks of its `Masked` layers. A plain or subclassed model
    gets mask variables and constraints that are taken away again by `release`. Either way `set`
    changes the mask without a new trace.

    Where an update mixes weights (clipping by norm, factored or layerwise optimizers), gradients of
    pruned weights would leak into the others' updates; there, gradients are masked too.

    A model has one binding at a time. Keras tells no callback of an interrupted `fit`, so a binding
    that is left of one is released by the next.

    Args:
        model: A compiled and built model.
        skip: Glob patterns of keys to leave dense; for a plain model only.
        also: Which weights to mask that aren't called `kernel`; for a plain model only, too.
        watch: Called in the training step with the gradients of the weights by key, those of pruned
            weights included, before each update.
    """

    def __init__(
        self,
        model: keras.Model,
        skip: Sequence[str] = (),
        also: Also = (),
        watch: Watch | None = None,
    ) -> None:
        if model in _BINDINGS:
            _BINDINGS[model].release()
        self._model = weakref.ref(model)  # else the entry below would keep it alive for ever
        self._kernels = prunable_variables(model, skip, also)
        owned = mask_variables(model)
        self._constraints: dict[str, Any] = {}
        if owned:
            self._kernels = {key: v for key, v in self._kernels.items() if key in owned}
            self._masks = {key: owned[key] for key in self._kernels}
        else:
            self._masks = {key: _dense_mask(kernel) for key, kernel in self._kernels.items()}
            for key, kernel in self._kernels.items():
                self._constraints[key] = kernel.constraint
                kernel.constraint = MaskConstraint(self._masks[key], kernel.constraint)
        _BINDINGS[model] = self
        optimizer = innermost_optimizer(model)
        self._hooked = _hook_gradients(optimizer, self._kernels, self._masks, watch)
        # A model that was fitted before has a traced step without all this.
        model.make_train_function(force=True)

    @property
    def kernels(self) -> dict[str, keras.Variable]:
        """The masked variables, by key."""
        return dict(self._kernels)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the masked variables, by key."""
        return {key: tuple(mask.shape) for key, mask in self._masks.items()}

    def get(self) -> Mask:
        """Return the current mask."""
        return Mask({key: mask.numpy() for key, mask in self._masks.items()})

    def set(self, mask: Mask) -> None:
        """Set the mask, and set pruned weights to zero.

        Raises:
            MaskError: when it doesn't fit; nothing is changed then.
        """
        check_mask(mask, self.shapes)
        for key, variable in self._masks.items():
            variable.assign(mask[key])
            self._kernels[key].assign(masked(self._kernels[key], variable))

    def check(self) -> None:
        """Raise an `InvariantError` when a pruned weight isn't exactly zero."""
        for key, kernel in self._kernels.items():
            pruned = keras.ops.logical_not(self._masks[key])
            leaked = keras.ops.logical_and(keras.ops.not_equal(kernel, 0), pruned)
            if keras.ops.any(leaked):
                count = int(keras.ops.count_nonzero(leaked))
                raise InvariantError(
                    f"A pruned weight must be exactly zero. Received: {count} that are not, in "
                    f"`{key}`. Something wrote to them past the optimizer: a custom `train_step` "
                    "that assigns weights, or another callback."
                )

    def release(self) -> None:
        """Remove masks and constraints from a plain model; its weights stay as they are."""
        for key, constraint in self._constraints.items():
            self._kernels[key].constraint = constraint
        if self._hooked is not None:
            del self._hooked.apply
        self._constraints, self._hooked = {}, None
        model = self._model()
        if model is not None and _BINDINGS.get(model) is self:
            del _BINDINGS[model]
            model.train_function = None


class MaskedFit(keras.callbacks.Callback):
    """Holds masks during `fit`: `on_train_begin` binds them. Abstract."""

    _binding: MaskBinding | None = None

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Check the zeros, and detach the masks."""
        try:
            if self._binding is not None:
                self._binding.check()
        finally:
            self._release()

    def _release(self) -> None:
        if self._binding is not None:
            self._binding.release()
            self._binding = None


class KeepMask(MaskedFit):
    """Callback that keeps a mask during one `fit`, for any model that Keras can train.

    A plain or subclassed model has the mask for that `fit` only. A sparsified model keeps its own
    mask anyway; for it this callback also masks gradients where updates mix weights, as under
    `global_clipnorm`.

    Args:
        mask: Weights to keep; may cover weights of rank 2 or more that aren't called `kernel`. By
            default the mask that a sparsified model has.

    Raises:
        TypeError: when `mask` is no `Mask`.
        MaskError: when `fit` begins and the mask doesn't fit the model.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="out")])
        >>> model.compile("sgd", "mse")
        >>> keep = KeepMask(Mask({"out/kernel": np.eye(4, 3)}))
        >>> x, y = np.ones((8, 4)), np.ones((8, 3))
        >>> history = model.fit(x, y, callbacks=[keep], verbose=0)
        >>> int(np.count_nonzero(model.get_layer("out").kernel))
        3
    """

    def __init__(self, mask: Mask | None = None) -> None:
        super().__init__()
        require_mask(mask)
        self.mask = mask

    def __repr__(self) -> str:
        return f"KeepMask({self.mask})"

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Attach the mask."""
        self._release()  # of a `fit` that was interrupted
        self._binding = MaskBinding(self.model, self._left_dense(), self._covered)
        if self.mask is not None:
            self._binding.set(self.mask)

    def _left_dense(self) -> list[str]:
        """List the kernels that the mask doesn't cover; raise when it doesn't fit the others."""
        weights = prunable_variables(self.model, also=self._covered)
        shapes = {key: tuple(v.shape) for key, v in weights.items()}
        owned = mask_variables(self.model)
        if self.mask is None:
            if not owned:
                raise MaskError(
                    "`KeepMask` needs a mask for a model without `Masked` layers. Received: "
                    f"mask=None for {self.model.name!r}."
                )
            return []
        covered = owned or self.mask
        check_mask(self.mask, {key: shape for key, shape in shapes.items() if key in covered})
        return [key for key in shapes if key not in covered]

    def _covered(self, key: str, variable: keras.Variable) -> bool:
        return self.mask is not None and key in self.mask


def _dense_mask(kernel: keras.Variable) -> keras.Variable:
    return keras.Variable("ones", shape=kernel.shape, dtype="bool", trainable=False, name="mask")


def _hook_gradients(
    optimizer: keras.optimizers.Optimizer,
    kernels: dict[str, keras.Variable],
    masks: dict[str, keras.Variable],
    watch: Watch | None,
) -> Any:
    """Watch gradients before `apply`, mask them where updates mix weights; return the optimizer."""
    mixes = _mixes_weights(optimizer)
    if watch is None and not mixes:
        return None
    key_of = {id(kernel): key for key, kernel in kernels.items()}
    apply = optimizer.apply

    @functools.wraps(apply)
    def apply_masked(grads: Any, trainable_variables: Any = None) -> Any:
        variables = list(trainable_variables or optimized(optimizer))
        places = {
            key_of[id(variable)]: place
            for place, variable in enumerate(variables)
            if id(variable) in key_of and grads[place] is not None
        }
        if watch is not None:
            watch({key: grads[place] for key, place in places.items()})
        if mixes:
            grads = list(grads)
            for key, place in places.items():
                grads[place] = masked(grads[place], masks[key])
        return apply(grads, trainable_variables)

    optimizer.apply = apply_masked
    return optimizer


def _mixes_weights(optimizer: keras.optimizers.Optimizer) -> bool:
    clips = optimizer.clipnorm is not None or optimizer.global_clipnorm is not None
    return clips or optimizer.use_ema or type(optimizer).__name__ not in _ELEMENTWISE
