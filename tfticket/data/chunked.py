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
_Step = Callable[[tf.Tensor, tf.Tensor], dict[str, tf.Tensor]]
_Chunk = Callable[[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor], dict[str, tf.Tensor]]
_Function = TypeVar("_Function")


class ChunkedFit(keras.callbacks.Callback):
    """Callback that runs each execution on a `Feed` as one compiled function, data included.

    With `steps_per_execution` Keras makes many steps in a call too, but takes each batch out of a
    `tf.data` pipeline, which for a small dense network costs as much again as its step. Here a call
    gets a matrix of indices; gathering, scaling, augmenting and all steps are in the graph, and in
    one XLA program if the model is compiled with `jit_compile=True`. Everything else is that of
    Keras: the model's own `train_step`, its metrics, validation, callbacks and History. Batches and
    their order are those of the feed without this callback. Evaluation is faster too: see
    `EvaluationFunction`.

    It comes last among callbacks that change how a model is trained (`TicketSearch`, `KeepMask`).
    Models that run eagerly, or under a `tf.distribute` strategy, are trained by Keras as usual.

    Args:
        feed: The training data of `fit`.

    Raises:
        ModelError: when `fit` begins and the model isn't compiled with a `steps_per_execution` that
            divides the feed's `chunk_steps`.

    Example:
        >>> from tfticket.data import load
        >>> data = load("digits")
        >>> feed = Feed(data.train, batch_size=50, seed=0, chunk_steps=5, scale=data.scale)
        >>> model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(10)])
        >>> model.compile("sgd", "sparse_categorical_crossentropy", steps_per_execution=5)
        >>> chunked = ChunkedFit(feed)
        >>> history = model.fit(**feed.fit_arguments(), epochs=2, callbacks=[chunked], verbose=0)
        >>> int(model.optimizer.iterations), len(history.history["loss"])
        (10, 2)
    """

    def __init__(self, feed: Feed) -> None:
        super().__init__()
        self.feed = feed
        self._function: ChunkFunction | None = None
        self._keras_evaluation: Any = None

    def __repr__(self) -> str:
        return f"ChunkedFit({self.feed})"

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Replace the functions that `fit` calls."""
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
        # An interrupted `fit` leaves ours there.
        left = isinstance(model.test_function, EvaluationFunction)
        self._keras_evaluation = None if left else model.test_function
        model.test_function = self._function.evaluation

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Restore the functions of Keras."""
        if self._function is None:
            return
        if self.model.train_function is self._function:
            self.model.train_function = self._function.keras_function
        if self.model.test_function is self._function.evaluation:
            self.model.test_function = self._keras_evaluation


class ChunkFunction:
    """Replacement of `model.train_function`.

    Args:
        model: At the beginning of `fit`, with its own train function.
        feed: Source of the batches.

    Attributes:
        keras_function: The train function of Keras.
        evaluation: Replacement of `model.test_function`.
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
        self._chunks: _Functions[_Chunk] = _Functions(model, self._chunk)

    def begin(self) -> None:
        """Prepare for a new `fit`."""
        self._iterator = None
        self._pauses = []
        self.stand_in(None)

    def stand_in(self, other: StandIn | None) -> None:
        """Train and evaluate `other` in place of the model from now on; the model if None."""
        self._stand_in = other
        self.evaluation.stand_in(other)

    def __call__(self, iterator: Any) -> Any:
        """Make the steps of an execution; the iterator, of the same batches, isn't read.

        Another iterator means another `fit`: the last one was interrupted, and Keras notifies no
        callback of that.
        """
        if self._iterator is None:
            self._iterator = iterator
        if iterator is not self._iterator:
            self._model.train_function = self.keras_function
            return self.keras_function(iterator)
        if self._stand_in is not None and not self._stand_in.is_current():
            self.stand_in(None)  # a callback changed weights of the model: it goes on with them
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
        """Call back between steps, within an execution.

        Args:
            after: Numbers of steps from now, each at least 1; those at the end of an execution are
                left to callbacks. They replace earlier ones.
            then: Called with the number of steps made. The model is in the state after that step,
                and must be left in it.
        """
        self._pauses, self._then, self._made = sorted(set(after)), then, 0

    def _stops(self) -> list[int]:
        """Return the steps of this execution after which it pauses or ends."""
        pauses = [step - self._made for step in self._pauses]
        return [*(step for step in pauses if 0 < step < self._steps), self._steps]

    def next_batch(self) -> tuple[tf.Tensor, Any]:
        """Return the first batch of the next chunk; see `tap.TellsNextBatch`."""
        return self._feed.batch(self._feed.step)

    def _chunk(self, trained: keras.Model | StandIn) -> _Chunk:
        jit = bool(self._model.jit_compile)
        return _chunk_function(trained, self._feed, jit=jit)


class EvaluationFunction:
    """Replacement of `model.test_function`.

    Batches are large and few, so each is a call, and no loop over them is traced. On CPUs it isn't
    compiled by XLA even if training is: compiling takes as long as a dozen evaluations of a small
    network, which don't get faster. Batch normalization uses the fused kernel. Validation data of
    `batches` are read without `tf.data`.

    Args:
        model: A compiled model.
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        self._stand_in: StandIn | None = None
        self._steps: _Functions[_Evaluate] = _Functions(
            model, lambda each: _evaluation(model, each.test_step)
        )

    def stand_in(self, other: StandIn | None) -> None:
        """Evaluate `other` in place of the model from now on; the model if None."""
        self._stand_in = other

    def __call__(self, iterator: Any) -> dict[str, Any]:
        """Evaluate `steps_per_execution` batches, or those that are left.

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
        """Replace the validation data that Keras keeps by ones that are cheap to iterate."""
        data = evaluation_data(self._model)
        if isinstance(data, Batches):
            set_evaluation_data(self._model, data.in_memory)


class StandIn(Protocol):
    """A smaller network that is trained and evaluated in place of a model, on the same batches."""

    def train_step(self, data: Any) -> dict[str, Any]:
        """As `keras.Model.train_step`."""

    def test_step(self, data: Any) -> dict[str, Any]:
        """As `keras.Model.test_step`."""

    def push(self) -> None:
        """Write the trained state to the model; called after each execution."""

    def is_current(self) -> bool:
        """Return False if the weights of the model were changed since."""


class _Functions(Generic[_Function]):
    """Compiled functions of a model and of its last stand-in, made when they are first needed.

    Args:
        model: The model.
        make: Makes a function of the model or of a stand-in.
    """

    def __init__(self, model: keras.Model, make: Callable[[Any], _Function]) -> None:
        self._model = model
        self._make = make
        self._own: _Function | None = None
        self._last: tuple[StandIn, _Function] | None = None

    def of(self, other: StandIn | None) -> _Function:
        """Return the function of a stand-in, or of the model if None."""
        if other is None:
            self._own = self._own or self._make(self._model)
            return self._own
        if self._last is None or self._last[0] is not other:
            self._last = other, self._make(other)
        return self._last[1]


def _evaluation(model: keras.Model, step: _Evaluate) -> _Evaluate:
    jit = model.jit_compile and not only_cpus()
    made = tf.function(step, reduce_retracing=True, jit_compile=jit or None, autograph=False)
    function: _Evaluate = with_optionals(model, made)
    return function


def _chunk_function(model: keras.Model | StandIn, feed: Feed, *, jit: bool) -> _Chunk:
    """Compile a function of indices (count, batch_size), int32, steps (count,), int64, first, stop.

    It makes the steps from `first` up to, not including, `stop`, both int32 scalars: one program,
    however an execution is divided.
    """
    optimizer = model.optimizer if isinstance(model, keras.Model) else None

    def step(indices: tf.Tensor, number: tf.Tensor) -> dict[str, tf.Tensor]:
        with contextlib.nullcontext() if jit else short_update(optimizer):
            logs: dict[str, tf.Tensor] = model.train_step(feed.gather(indices, number))
            return logs

    one = _compiled(step, feed, jit=jit)
    # XLA for a CPU runs a convolution in a loop many times slower than one outside of it.
    outside = jit and not _convolves(one.graph)

    def chunk(
        indices: tf.Tensor, numbers: tf.Tensor, first: tf.Tensor, stop: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        def body(i: tf.Tensor, _: dict[str, tf.Tensor]) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
            return i + 1, one(indices[i], numbers[i])

        # What a loop carries has its type before the first step.
        logs: dict[str, tf.Tensor] = tf.nest.map_structure(_nothing, one.structured_outputs)
        _, logs = tf.while_loop(lambda i, _: i < stop, body, (first, logs))
        return logs

    compiled: _Chunk = tf.function(chunk, jit_compile=outside, autograph=False)
    return compiled


def _compiled(step: _Step, feed: Feed, *, jit: bool) -> Any:
    return tf.function(step, autograph=False, jit_compile=jit or None).get_concrete_function(
        tf.TensorSpec((feed.batch_size,), tf.int32), tf.TensorSpec((), tf.int64)
    )


def _convolves(graph: Any) -> bool:
    """Return whether a graph, or a function that it calls, holds a convolution."""
    nodes = list(graph.as_graph_def().node)
    for function in graph.as_graph_def().library.function:
        nodes += function.node_def
    return any("Conv" in node.op for node in nodes)


def _nothing(output: Any) -> tf.Tensor:
    return tf.zeros(output.shape, output.dtype)
