"""Narrower networks: channels of lowest magnitude out, and a training behind it.

A round takes out a share of the channels, exactly (`channels.shrink`), and trains what is left with
the learning rate rewound to its beginning: Renda, Frankle & Carbin (2020, arXiv:2003.02389). The
next round goes on from there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from scipy import special

from tfticket.channels.flow import Flow
from tfticket.channels.groups import channel_groups
from tfticket.channels.remove import Scope, removed
from tfticket.channels.roles import Role
from tfticket.data import ChunkedFit, Feed, Split
from tfticket.errors import ExportError, ModelError
from tfticket.export.labels import check_numbers
from tfticket.export.preparation import predictions
from tfticket.models import gives_probabilities, jit_choice
from tfticket.seeds import generator, sub_seed
from tfticket.sparsity.channel_group import ChannelGroup
from tfticket.sparsity.convert import strip
from tfticket.state import kernels_of, prunable_variables
from tfticket.wording import brief_repr

_CHUNK = 100  # most steps of a call
_WORTH_XLA = 2_000  # steps from which on it saves the second that it takes to compile
_HOT = 0.7  # of the largest activations, from which others count as large
_NONE = 1e-9  # a share must be above 0
_COUNTED = (Role.MIX, Role.DEPTHWISE, Role.MERGE, Role.CONCATENATE, Role.OPAQUE)


@dataclass(frozen=True, eq=False)
class Training:
    """Data and length of the training of narrowed networks.

    Attributes:
        x: Training examples as the model takes them, shape (n, ...).
        y: Their labels, integers, shape (n,).
        steps: Optimizer steps after each round; None for three passes over the examples, at least
            200.
        batch_size: Examples a step, at least 1.
        learning_rate: Of Adam at the beginning of each round, from which it falls to 0 by a cosine.
        seed: Random seed of the order of the examples.
        augment: `none`, or `flip_crop` for images, see `tfticket.data.flip_crop`.

    Raises:
        ExportError: when examples and labels differ in number, aren't finite, or a number is out of
            its range.
    """

    x: np.ndarray
    y: np.ndarray
    steps: int | None = None
    batch_size: int = 64
    learning_rate: float = 1e-3
    seed: int = 0
    augment: str = "none"

    __repr__ = brief_repr

    def __post_init__(self) -> None:
        check_numbers(self.x, "training.x")
        labels = np.asarray(self.y)
        if len(labels) != len(self.x) or labels.ndim != 1 or labels.dtype.kind not in "iu":
            raise ExportError(
                f"There are {len(self.x):,} training examples and labels of shape {labels.shape}, "
                f"{labels.dtype}. Labels must be integers, one for each example."
            )
        steps = 1 if self.steps is None else self.steps
        if min(self.batch_size, steps) < 1 or not self.learning_rate > 0:
            raise ExportError(
                f"`steps` and `batch_size` must be at least 1, `learning_rate` above 0. Received: "
                f"{self.steps}, {self.batch_size}, {self.learning_rate}."
            )

    @property
    def steps_a_round(self) -> int:
        """Optimizer steps after each round."""
        return self.steps or max(200, 3 * math.ceil(len(self.x) / self.batch_size))


def narrowed(model: keras.Model, rate: float, *, keys: Sequence[str] | None = None) -> keras.Model:
    """Take out the channels whose weights have the lowest magnitude.

    Args:
        model: A built Sequential or Functional model. It isn't changed.
        rate: Share of the channels to take out, in (0, 1); at least one goes.
        keys: Keys of kernels whose channels go, each layer at that rate; None lets the channels of
            all layers compete.

    Raises:
        ModelError: when no channel can be taken out.
    """

    def may_go(group: ChannelGroup) -> bool:
        return keys is None or group.home in keys

    scope: Scope = "global" if keys is None else "layerwise"
    return removed(model, 1 - rate, scope=scope, may_go=may_go).model


def narrowed_to(model: keras.Model, share: float) -> keras.Model:
    """Take out channels as `narrowed` does until at most a share of the parameters is left.

    Args:
        model: A built Sequential or Functional model. It isn't changed.
        share: Of the parameters, in (0, 1).

    Raises:
        ModelError: when no channel can be taken out.
    """
    try:
        return removed(model, share, of="parameters").model
    except ModelError:
        return narrowest(model)


def narrowest(model: keras.Model) -> keras.Model:
    """Leave one channel of each layer, as few as a network can have.

    Raises:
        ModelError: when no channel can be taken out.
    """
    return removed(model, _NONE, scope="layerwise").model


def uniformly_narrow(model: keras.Model, share: float, *, seed: int) -> keras.Model:
    """Build the network anew with a share of the channels of each layer, and new weights.

    Kernels are drawn as in He et al. (2015, arXiv:1502.01852); all else is as layers begin.

    Args:
        model: A built Sequential or Functional model. It isn't changed.
        share: Of the channels that stay, in (0, 1].
        seed: Random seed of the weights.
    """
    narrow = model
    if share < 1:
        rng = generator(seed, "fitting", "uniform")
        narrow = removed(
            model, share, score=lambda units, *_: rng.random(len(units)), scope="layerwise"
        ).model
    fresh = keras.models.clone_model(strip(narrow))
    for key, variable in prunable_variables(fresh).items():
        draw = keras.initializers.HeNormal(sub_seed(seed, "fitting", key))
        variable.assign(draw(variable.shape))
    return fresh


def as_if_trained(model: keras.Model) -> keras.Model:
    """A copy whose biases and norms differ as after training: its file has the size of that one.

    Where they all are equal, as layers begin, a slim file holds them once.
    """
    copy = strip(model)
    rng = generator(0, "fitting", "as if trained")
    for variable in copy.trainable_variables:
        if len(variable.shape) == 1:
            variable.assign(variable.numpy() + 0.1 * rng.random(variable.shape))
    return copy


def hot_keys(model: keras.Model) -> tuple[str, ...]:
    """Return the keys of kernels that make the channels of the largest activations.

    What an operation reads and writes must be in memory at one time. Operations that change each
    number for itself aren't counted: the converter fuses them with what is before.

    Raises:
        ModelError: for a subclassed model, or when no channel can be taken out.
    """
    flow = Flow(model)
    homes = {group.home for group in channel_groups(model)}
    keys = {id(variable): key for key, variable in prunable_variables(model).items()}
    sizes = [
        (sum(map(_elements, (*step.inputs, *step.outputs))), step)
        for step in flow.steps
        if step.role in _COUNTED
    ]
    largest = max(size for size, _ in sizes)
    hot: set[int] = set()
    for size, step in sizes:
        if size >= _HOT * largest:
            for tensor in (*step.inputs, *step.outputs):
                if _elements(tensor) >= (1 - _HOT) * size:
                    hot.update(flow.channels(tensor).tolist())
    made: dict[str, set[int]] = {}
    for step in flow.steps:
        kernels = kernels_of(step.operation) if step.role is Role.MIX else {}
        for key in [keys[id(kernel)] for kernel in kernels.values() if id(kernel) in keys]:
            made[key] = set(flow.channels(step.output).tolist())
    return tuple(key for key, numbers in made.items() if key in homes and numbers & hot)


def _elements(tensor: Any) -> int:
    return math.prod(tensor.shape[1:])


def train(
    model: keras.Model,
    training: Training,
    *,
    steps: int,
    stream: str,
    teacher: np.ndarray | None = None,
    hook: Callable[[int], None] | None = None,
) -> None:
    """Train a network in place.

    Args:
        model: A classifier, built.
        training: The data, and how.
        steps: Optimizer steps.
        stream: Name of the random stream of the order of the examples.
        teacher: Probabilities that another network gives the training examples, shape (n, k), to
            learn half from them and half from the labels: distillation at temperature 1 (Hinton,
            Vinyals & Dean 2015, arXiv:1503.02531). None to learn from the labels alone.
        hook: Called with the number of steps made, now and then.
    """
    y, logits = np.asarray(training.y), not gives_probabilities(model)
    loss: keras.losses.Loss = keras.losses.SparseCategoricalCrossentropy(from_logits=logits)
    wanted = tf.constant(y.astype("int64"))
    if teacher is not None:
        loss = keras.losses.CategoricalCrossentropy(from_logits=logits)
        wanted = tf.constant((0.5 * (np.eye(teacher.shape[1])[y] + teacher)).astype("float32"))
    chunk = max(n for n in range(1, min(_CHUNK, steps) + 1) if steps % n == 0)
    feed = Feed(
        Split(training.x, np.arange(len(y))),
        batch_size=min(training.batch_size, len(y)),
        seed=sub_seed(training.seed, "fitting", stream),
        chunk_steps=chunk,
        augment=training.augment,
        labels=lambda places: tf.gather(wanted, places),
    )
    rate = keras.optimizers.schedules.CosineDecay(training.learning_rate, steps)
    model.compile(
        keras.optimizers.Adam(rate),
        loss,
        jit_compile=steps >= _WORTH_XLA and jit_choice(model, "auto"),
        metrics=[],
        steps_per_execution=chunk,
    )
    told = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: hook((epoch + 1) * chunk) if hook else None
    )
    model.fit(
        **feed.fit_arguments(),
        epochs=steps // chunk,
        callbacks=[told, ChunkedFit(feed)],
        verbose=0,
    )


def accuracy(model: keras.Model, x: np.ndarray, y: np.ndarray) -> float:
    """Return the share of labels that a network gets right."""
    return float((predictions(model, x).argmax(-1) == np.asarray(y)).mean())


def probabilities(model: keras.Model, x: np.ndarray) -> np.ndarray:
    """Return what a classifier says of examples, as probabilities, shape (n, k)."""
    outputs = predictions(model, x)
    if gives_probabilities(model):
        return outputs
    found: np.ndarray = special.softmax(outputs, axis=1)
    return found
