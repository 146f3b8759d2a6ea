"""The one mechanism that keeps zeros zero: a mask in a variable, applied by `variable.constraint`.

Keras' optimizers apply `variable.constraint` right after each update, inside the compiled step. The
mask sits in a variable of its own, so it can be changed between two steps without a new trace.
"""

from __future__ import annotations

from typing import Any

import keras

from tfticket.internals import global_state, moving_average


class MaskConstraint(keras.constraints.Constraint):
    """Constraint that sets pruned weights to exactly zero, after the weight's former constraint.

    It doesn't multiply, since `NaN * 0` is NaN and `-1 * 0` is a negative zero.

    Args:
        mask: Boolean variable of the weight's shape, True = kept.
        inner: The constraint that the weight had, or None.
    """

    def __init__(self, mask: keras.Variable, inner: Any = None) -> None:
        self.mask = mask
        self.inner = inner

    def __call__(self, w: Any) -> Any:
        """Return `w` with its pruned entries at zero."""
        optimizer = _calling_optimizer()
        if optimizer is not None and isinstance(w, keras.Variable):
            self._mask_average(optimizer, w)
        value = keras.ops.convert_to_tensor(w)
        if self.inner is not None:
            value = self.inner(value)
        return masked(value, self.mask)

    def _mask_average(self, optimizer: keras.optimizers.Optimizer, weight: keras.Variable) -> None:
        """Mask the moving average that `use_ema` keeps of the weight.

        Keras averages before it applies constraints, and writes the average over the weight when
        `fit` ends, past any constraint: without this all pruned weights come back then.
        """
        if optimizer.use_ema and optimizer.built:
            average = moving_average(optimizer, weight)
            average.assign(masked(average, self.mask))

    def get_config(self) -> dict[str, Any]:
        """Return nothing: the mask is saved by the layer that owns it."""
        return {}


def masked(value: Any, mask: Any) -> Any:
    """Return `value` where the mask is True, else exactly (positive) zero."""
    value = keras.ops.convert_to_tensor(value)
    return keras.ops.where(mask, value, keras.ops.zeros((), value.dtype))


def _calling_optimizer() -> keras.optimizers.Optimizer | None:
    """Return the optimizer whose `apply` is running, found by the name scope it opens, or None."""
    scopes = global_state.get_global_attribute("name_scope_stack") or []
    callers = (scope.caller for scope in reversed(scopes))
    return next((c for c in callers if isinstance(c, keras.optimizers.Optimizer)), None)
