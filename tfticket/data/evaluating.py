"""What `evaluate` calls while a model is trained in chunks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import keras
import tensorflow as tf

from tfticket.machine import only_cpus
from tfticket.norms.layers.fused import fused_inference

_Step = Callable[[Any], dict[str, Any]]


class Evaluated(Protocol):
    """What can be evaluated in place of a model: the same answers, sooner."""

    def test_step(self, data: Any) -> dict[str, Any]:
        """As `keras.Model.test_step`."""

    def is_current(self) -> bool:
        """Whether the model still is what this stands for: nobody has changed its weights."""


class EvaluationFunction:
    """Takes the place of the function that Keras makes of `test_step`.

    Batches are large and few, so each is a call, and no loop over them is traced. On CPUs it isn't
    compiled by XLA, also when training is: that takes as long as a dozen evaluations of a small
    network, which are no faster for it. Batch normalization takes the fused kernel.

    Args:
        model: Compiled.
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        self._stand_in: Evaluated | None = None
        self._own: _Step | None = None
        self._of_stand_in: tuple[Evaluated, _Step] | None = None

    def stand_in(self, other: Evaluated | None) -> None:
        """Evaluates something else in place of the model from now on; None: the model again."""
        self._stand_in = other

    def __call__(self, iterator: Any) -> dict[str, Any]:
        """Evaluates `steps_per_execution` batches, or those that are left.

        Raises:
            StopIteration: when none are left.
        """
        step, logs = self._step(), None
        with fused_inference():
            for _, batch in zip(range(self._model.steps_per_execution), iterator, strict=False):
                logs = step(batch)
        if logs is None:
            raise StopIteration
        return logs

    def _step(self) -> _Step:
        """Made when it is first needed; the model's own is kept while another is evaluated."""
        model, other = self._model, self._stand_in
        if other is None or not other.is_current():
            self._own = self._own or _compiled(model, model.test_step)
            return self._own
        if self._of_stand_in is None or self._of_stand_in[0] is not other:
            self._of_stand_in = other, _compiled(model, other.test_step)
        return self._of_stand_in[1]


def _compiled(model: keras.Model, step: _Step) -> _Step:
    jit = model.jit_compile and not only_cpus()
    made = tf.function(step, reduce_retracing=True, jit_compile=jit or None, autograph=False)
    return model._autoconvert_optionals(made)
