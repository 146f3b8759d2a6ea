"""What `evaluate` calls while a model is trained in chunks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

import keras
import tensorflow as tf

from tfticket.data.ordered import Batches
from tfticket.internals import evaluation_data, set_evaluation_data, with_optionals
from tfticket.machine import only_cpus
from tfticket.norms.layers.fused import fused_inference

_Step = Callable[[Any], dict[str, Any]]
_Function = TypeVar("_Function")


class Evaluated(Protocol):
    """What can be evaluated in place of a model: the same answers, sooner."""

    def test_step(self, data: Any) -> dict[str, Any]:
        """As `keras.Model.test_step`."""

    def is_current(self) -> bool:
        """Whether the model still is what this stands for: nobody has changed its weights."""


class Made(Generic[_Function]):
    """Functions of a model and of what stands in for it, made when they are first needed.

    That of the model is kept, and that of the last other, for when it comes again.

    Args:
        model: The model.
        make: Makes a function of it, or of another.
    """

    def __init__(self, model: keras.Model, make: Callable[[Any], _Function]) -> None:
        self._model = model
        self._make = make
        self._own: _Function | None = None
        self._last: tuple[Any, _Function] | None = None

    def of(self, other: Any) -> _Function:
        """The function of `other`; of the model if None."""
        if other is None:
            self._own = self._own or self._make(self._model)
            return self._own
        if self._last is None or self._last[0] is not other:
            self._last = other, self._make(other)
        return self._last[1]


class EvaluationFunction:
    """Takes the place of the function that Keras makes of `test_step`.

    Batches are large and few, so each is a call, and no loop over them is traced. On CPUs it isn't
    compiled by XLA, also when training is: that takes as long as a dozen evaluations of a small
    network, which are no faster for it. Batch normalization takes the fused kernel. What validation
    in `fit` reads comes without `tf.data` where it is what `batches` gave.

    Args:
        model: Compiled.
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        self._stand_in: Evaluated | None = None
        self._steps: Made[_Step] = Made(model, lambda each: _compiled(model, each.test_step))

    def stand_in(self, other: Evaluated | None) -> None:
        """Evaluates something else in place of the model from now on; None: the model again."""
        self._stand_in = other

    def __call__(self, iterator: Any) -> dict[str, Any]:
        """Evaluates `steps_per_execution` batches, or those that are left.

        Raises:
            StopIteration: when none are left.
        """
        self._read_memory()
        other = self._stand_in
        step = self._steps.of(other if other is None or other.is_current() else None)
        logs = None
        with fused_inference():
            for _, batch in zip(range(self._model.steps_per_execution), iterator, strict=False):
                logs = step(batch)
        if logs is None:
            raise StopIteration
        return logs

    def _read_memory(self) -> None:
        """Lets Keras make the next iterators of its validation data, which it keeps, cheap ones."""
        data = evaluation_data(self._model)
        if isinstance(data, Batches):
            set_evaluation_data(self._model, data.in_memory)


def _compiled(model: keras.Model, step: _Step) -> _Step:
    jit = model.jit_compile and not only_cpus()
    made = tf.function(step, reduce_retracing=True, jit_compile=jit or None, autograph=False)
    return with_optionals(model, made)
