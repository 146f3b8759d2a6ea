"""The update of an optimizer by fewer operations, for steps that XLA doesn't compile."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

from tfticket.internals import adam_moments, optimized
from tfticket.machine import only_cpus

# Numbers to train from which on one pass over them is worth what XLA takes to compile the update.
_MANY = 1_000_000

_Apply = Callable[..., None]


@contextlib.contextmanager
def short_update(optimizer: Any) -> Iterator[None]:
    """Shorten the update of a Keras optimizer while a step is traced; results differ by rounding.

    Keras updates each variable by two dozen operations, and applies masks by one more. For many
    weights XLA compiles the update, not the convolutions, which it would slow down, into one pass:
    a tenth of a step of Conv-2. For few weights in many variables, as in a ResNet-20, compiling
    takes longer than it saves, but Adam is one kernel of TensorFlow. Averages of weights,
    accumulated gradients, scaled losses and other devices than CPUs are left to Keras.

    Args:
        optimizer: Any optimizer; its `apply` is replaced meanwhile.
    """
    if not isinstance(optimizer, keras.optimizers.Optimizer) or not _is_plain(optimizer):
        yield
        return
    hooked = vars(optimizer).get("apply")
    apply = optimizer.apply

    def short(grads: Any, trainable_variables: Any = None) -> None:
        variables = list(trainable_variables or optimized(optimizer))
        count = sum(variable.value.shape.num_elements() for variable in variables)
        dense = all(isinstance(grad, tf.Tensor) for grad in grads)
        if dense and count >= _MANY:
            _compiled(apply, list(grads), variables)
            return
        by_kernel = dense and _is_adam(optimizer)
        with _adam_by_a_kernel(optimizer) if by_kernel else contextlib.nullcontext():
            apply(grads, trainable_variables)

    optimizer.apply = short
    try:
        yield
    finally:
        del optimizer.apply
        if hooked is not None:
            optimizer.apply = hooked


def _is_plain(optimizer: keras.optimizers.Optimizer) -> bool:
    """Return whether an update is plain arithmetic on a CPU, where this was measured."""
    scaled = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    if scaled or optimizer.use_ema or optimizer.gradient_accumulation_steps:
        return False
    return only_cpus()


def _is_adam(optimizer: keras.optimizers.Optimizer) -> bool:
    """Return whether its update is that of Adam, or of AdamW, whose decay is applied apart."""
    same = type(optimizer).update_step is keras.optimizers.Adam.update_step
    return same and not optimizer.amsgrad


def _compiled(apply: _Apply, grads: list[tf.Tensor], variables: list[keras.Variable]) -> None:
    @tf.function(jit_compile=True, autograph=False)
    def update(*grads: tf.Tensor) -> None:
        apply(list(grads), variables)

    update(*grads)


@contextlib.contextmanager
def _adam_by_a_kernel(optimizer: keras.optimizers.Adam) -> Iterator[None]:
    """Update variables by TensorFlow's kernel for one `apply`."""
    step = tf.cast(optimizer.iterations, tf.float32) + 1.0
    powers = tf.pow(optimizer.beta_1, step), tf.pow(optimizer.beta_2, step)

    def update_step(gradient: tf.Tensor, variable: Any, learning_rate: Any) -> None:
        first, second = adam_moments(optimizer, variable)
        tf.raw_ops.ResourceApplyAdam(
            var=_handle(variable),
            m=_handle(first),
            v=_handle(second),
            beta1_power=tf.cast(powers[0], variable.dtype),
            beta2_power=tf.cast(powers[1], variable.dtype),
            lr=tf.cast(learning_rate, variable.dtype),
            beta1=tf.cast(optimizer.beta_1, variable.dtype),
            beta2=tf.cast(optimizer.beta_2, variable.dtype),
            epsilon=tf.cast(optimizer.epsilon, variable.dtype),
            grad=tf.cast(gradient, variable.dtype),
        )

    optimizer.update_step = update_step
    try:
        yield
    finally:
        del optimizer.update_step


def _handle(variable: Any) -> tf.Tensor:
    return (variable.value if isinstance(variable, keras.Variable) else variable).handle
