"""What `evaluate` calls while a model is trained in chunks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import keras

from tfticket.machine import only_cpus
from tfticket.norms.layers.fused import fused_inference


class Evaluated(Protocol):
    """What can be evaluated in place of a model: the same answers, sooner."""

    def test_step(self, data: Any) -> dict[str, Any]:
        """As `keras.Model.test_step`."""

    def is_current(self) -> bool:
        """Whether the model still is what this stands for: nobody has changed its weights."""


class EvaluationFunction:
    """Takes the place of the function that Keras makes of `test_step`.

    On CPUs it isn't compiled by XLA, also when training is: compiling takes as long as a dozen
    evaluations of a small network, which are no faster for it. Batch normalization takes the fused
    kernel.

    Args:
        model: Compiled.
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        self._stand_in: Evaluated | None = None
        self._own: Callable[[Any], Any] | None = None
        self._of_stand_in: Callable[[Any], Any] | None = None

    def stand_in(self, other: Evaluated | None) -> None:
        """Evaluates something else in place of the model from now on; None: the model again."""
        self._stand_in, self._of_stand_in = other, None

    def __call__(self, iterator: Any) -> Any:
        """Evaluates `steps_per_execution` batches, or those that are left."""
        with fused_inference():
            return self._function()(iterator)

    def _function(self) -> Callable[[Any], Any]:
        """Made when it is first needed; the model's own is kept while another is evaluated."""
        if self._stand_in is None or not self._stand_in.is_current():
            self._own = self._own or _function(self._model, self._model.test_step)
            return self._own
        made = self._of_stand_in or _function(self._model, self._stand_in.test_step)
        self._of_stand_in = made
        return made


def _function(model: keras.Model, step: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """As Keras makes it."""
    jit = model.jit_compile
    if only_cpus():
        model.jit_compile = False
    try:
        return model._make_function(step)
    finally:
        model.jit_compile = jit
