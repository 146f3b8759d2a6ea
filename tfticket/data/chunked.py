"""`ChunkedFit`: a chunk of training steps as one compiled function, under plain `model.fit`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import Any, Generic, Protocol, TypeVar

import keras
import tensorflow as tf

from tfticket.data.feed import Feed
from tfticket.data.ordered import Batches
from tfticket.data.updating import short_update
from tfticket.errors import ModelError
from tfticket.internals import build_by_batch, evaluation_data, set_evaluation_data, with_optionals
from tfticket.machine import only_cpus, warn_of_threads
from tfticket.norms.layers.fused import fused_inference

_Evaluate = Callable[[Any], dict[str, Any]]
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
        self._steps: Made[_Evaluate] = Made(model, lambda each: _evaluation(model, each.test_step))

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


def _evaluation(model: keras.Model, step: _Evaluate) -> _Evaluate:
    jit = model.jit_compile and not only_cpus()
    made = tf.function(step, reduce_retracing=True, jit_compile=jit or None, autograph=False)
    return with_optionals(model, made)


class StandIn(Evaluated, Protocol):
    """What can be trained in place of a model, on the same batches."""

    def train_step(self, data: Any) -> dict[str, Any]:
        """As `keras.Model.train_step`."""

    def push(self) -> None:
        """Called after each execution: the model must be as if it had been trained itself."""


_Step = Callable[[tf.Tensor, tf.Tensor], dict[str, tf.Tensor]]
_Chunk = Callable[[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor], dict[str, tf.Tensor]]


class ChunkedFit(keras.callbacks.Callback):
    """Makes the steps of each execution on a `Feed` in one call of one function, data and all.

    With `steps_per_execution` Keras makes many steps in a call too, but takes each batch out of a
    `tf.data` pipeline, which for a small dense network costs as much again as its step. Here a call
    gets a matrix of indices; gathering, scaling, augmenting and all steps are in the graph, and in
    one XLA program when the model is compiled with `jit_compile=True`. Everything else is as Keras
    has it: the model's own `train_step`, its metrics, validation, callbacks and History. Batches
    and their order are those of the feed without this callback. Evaluations are made faster too:
    see `EvaluationFunction`.

        model.compile(..., steps_per_execution=feed.chunk_steps)
        model.fit(**feed.fit_arguments(), epochs=50, callbacks=[ChunkedFit(feed)])

    It comes last among callbacks that change how a model is trained (`TicketSearch`, `KeepMask`).
    Models that run eagerly, or under a `tf.distribute` strategy, are trained by Keras as always.

    Args:
        feed: What `fit` is given.

    Raises:
        ModelError: when `fit` begins and the model isn't compiled with a `steps_per_execution` that
            divides the feed's `chunk_steps`.
    """

    def __init__(self, feed: Feed) -> None:
        super().__init__()
        self.feed = feed
        self._function: ChunkFunction | None = None
        self._keras_evaluation: Any = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Puts the functions where `fit` looks for them."""
        model = self.model
        if model.run_eagerly or model.distribute_strategy.num_replicas_in_sync > 1:
            return
        if self.feed.chunk_steps % model.steps_per_execution:
            raise ModelError(
                "A model that is trained in chunks must be compiled with `steps_per_execution` = "
                "`chunk_steps`, or a number that divides it. Received: steps_per_execution="
                f"{model.steps_per_execution} and a feed with chunk_steps={self.feed.chunk_steps}."
            )
        # Keras makes another function when the model is compiled anew or its masks are bound.
        if self._function is None or self._function.keras_function is not model.train_function:
            self._function = ChunkFunction(model, self.feed)
        self._function.begin()
        model.train_function = self._function
        steps = (self.params.get("steps") or 0) * (self.params.get("epochs") or 0)
        warn_of_threads(model, steps, chunked=True)
        # What an interrupted `fit` left there is no function of Keras.
        left = isinstance(model.test_function, EvaluationFunction)
        self._keras_evaluation = None if left else model.test_function
        model.test_function = self._function.evaluation

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Gives the model's own functions back."""
        if self._function is None:
            return
        if self.model.train_function is self._function:
            self.model.train_function = self._function.keras_function
        if self.model.test_function is self._function.evaluation:
            self.model.test_function = self._keras_evaluation


class ChunkFunction:
    """What `fit` calls in place of the function that Keras made.

    Args:
        model: In the beginning of `fit`, with its own train function.
        feed: Where the batches come from.

    Attributes:
        evaluation: What `evaluate` calls.
    """

    def __init__(self, model: keras.Model, feed: Feed) -> None:
        self.keras_function = model.train_function
        self.evaluation = EvaluationFunction(model)
        self._model = model
        self._feed = feed
        self._steps = int(model.steps_per_execution)
        self._iterator: Any = None  # of this `fit`
        self._pauses: list[int] = []
        self._then: Callable[[int], None] | None = None
        self._made = 0  # steps since `pause`
        # Variables of metrics and optimizer are made now: a step that made them would be traced
        # twice.
        build_by_batch(model, feed.batch(feed.step))
        self._stand_in: StandIn | None = None
        self._chunks: Made[_Chunk] = Made(model, self._chunk)

    def begin(self) -> None:
        """A new `fit` begins."""
        self._iterator = None
        self._pauses = []
        self.stand_in(None)

    def stand_in(self, other: StandIn | None) -> None:
        """Trains something else in place of the model from now on; None: the model again."""
        self._stand_in = other
        self.evaluation.stand_in(other)

    def __call__(self, iterator: Any) -> Any:
        """Makes the steps of an execution.

        The iterator, which gives the same batches one by one, stays untouched. One of another `fit`
        means that the last one was interrupted, which Keras tells no callback.
        """
        if self._iterator is None:
            self._iterator = iterator
        if iterator is not self._iterator:
            self._model.train_function = self.keras_function
            return self.keras_function(iterator)
        if self._stand_in is not None and not self._stand_in.is_current():
            self.stand_in(None)  # a callback changed weights, which is for the whole to go on with
        chunk = self._chunks.of(self._stand_in)
        indices, numbers = self._feed.take(self._steps)
        first, logs = 0, {}
        for stop in self._stops():
            logs = chunk(indices, numbers, tf.constant(first), tf.constant(stop))
            if self._stand_in is not None:
                self._stand_in.push()
            if stop < self._steps and self._then is not None:
                self._then(self._made + stop)
            first = stop
        self._made += self._steps
        return logs

    def pause(self, after: Iterable[int], then: Callable[[int], None]) -> None:
        """Calls back between steps, within an execution.

        Args:
            after: After how many steps from now, each at least 1; those at the end of an execution
                are left to callbacks. They replace earlier ones.
            then: Called with the number of steps made by then. The model is as after that step; it
                must be left so.
        """
        self._pauses, self._then, self._made = sorted(set(after)), then, 0

    def _stops(self) -> list[int]:
        """Steps of this execution after which it pauses or ends."""
        pauses = [step - self._made for step in self._pauses]
        return [*(step for step in pauses if 0 < step < self._steps), self._steps]

    def next_batch(self) -> tuple[tf.Tensor, Any]:
        """The batch that the next chunk begins with."""
        return self._feed.batch(self._feed.step)

    def _chunk(self, trained: keras.Model | StandIn) -> _Chunk:
        jit = bool(self._model.jit_compile)
        return _chunk_function(trained, self._feed, jit=jit)


def _chunk_function(model: keras.Model | StandIn, feed: Feed, *, jit: bool) -> _Chunk:
    """A function of indices (count, batch_size), int32, steps (count,), int64, first and stop.

    It makes the steps from `first` up to, not including, `stop`, both int32 scalars: one program,
    however an execution is divided.
    """
    optimizer = model.optimizer if isinstance(model, keras.Model) else None

    def step(indices: tf.Tensor, number: tf.Tensor) -> dict[str, tf.Tensor]:
        with contextlib.nullcontext() if jit else short_update(optimizer):
            return model.train_step(feed.gather(indices, number))

    one = _compiled(step, feed, jit=jit)
    # XLA for a CPU runs a convolution in a loop many times slower than one outside of it.
    outside = jit and not _convolves(one.graph)

    def chunk(
        indices: tf.Tensor, numbers: tf.Tensor, first: tf.Tensor, stop: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        def body(i: tf.Tensor, _: dict[str, tf.Tensor]) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
            return i + 1, one(indices[i], numbers[i])

        # What a loop carries has its type before the first step.
        logs = tf.nest.map_structure(_nothing, one.structured_outputs)
        return tf.while_loop(lambda i, _: i < stop, body, (first, logs))[1]

    return tf.function(chunk, jit_compile=outside, autograph=False)


def _compiled(step: _Step, feed: Feed, *, jit: bool) -> Any:
    return tf.function(step, autograph=False, jit_compile=jit or None).get_concrete_function(
        tf.TensorSpec((feed.batch_size,), tf.int32), tf.TensorSpec((), tf.int64)
    )


def _convolves(graph: Any) -> bool:
    """Whether a graph holds a convolution, in itself or in a function that it calls."""
    nodes = list(graph.as_graph_def().node)
    for function in graph.as_graph_def().library.function:
        nodes += function.node_def
    return any("Conv" in node.op for node in nodes)


def _nothing(output: Any) -> tf.Tensor:
    return tf.zeros(output.shape, output.dtype)
