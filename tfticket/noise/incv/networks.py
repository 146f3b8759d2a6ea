"""Held-out predictions of networks: a fresh one is trained on some examples and predicts others."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator

import keras
import numpy as np
import tensorflow as tf
from scipy import special

from tfticket.errors import DataError, ModelError
from tfticket.internals import given_learning_rate
from tfticket.noise.labels.given import check_finite, checked_probabilities
from tfticket.noise.losses import PerSampleLoss
from tfticket.noise.margin_audit import MarginAudit
from tfticket.seeds import generator, sub_seed
from tfticket.state import innermost_optimizer

Build = Callable[[int], keras.Model]
Watch = Callable[[float, float], None]
"""Is called with the shares of held-out labels that a network agrees with, in [0, 1], at half of
its training and at the end; may raise to stop a selection."""

_WATCHED = 2000  # held-out examples


def fresh_model(build: Build, seed: int) -> keras.Model:
    """Build a compiled model, with weights and an optimizer of its own.

    Keras's random numbers start from `seed` while it is built, also for layers without a seed;
    Python's and NumPy's generators are as before afterwards.

    Raises:
        ModelError: when `build` doesn't give a compiled Keras model with a row of class scores.
    """
    with _seeded(seed):
        model = build(seed)
    if not isinstance(model, keras.Model) or not model.compiled:
        raise ModelError(
            "`build(seed)` must return a compiled keras.Model, a new one each time. Received: "
            f"{model!r}. Call `model.compile(...)` in it."
        )
    if int(model.optimizer.iterations) != 0:
        raise ModelError(
            "`build(seed)` must return a model with a new optimizer: one that has made steps "
            f"carries its moments into the next fold. Received: {int(model.optimizer.iterations)} "
            "steps. Make the optimizer inside `build`."
        )
    return model


def class_count(model: keras.Model) -> int:
    """Number of classes that a built model has a score for.

    Raises:
        ModelError: when it isn't built, or has no output of shape (batch, classes).
    """
    inputs, outputs = (getattr(model, name, None) or [] for name in ("inputs", "outputs"))
    if not inputs or not outputs:
        raise ModelError(
            "What a subclassed or unbuilt model takes and gives can't be seen from outside. "
            f"Received: {model.name!r} of the class {type(model).__name__}. Let `build` return a "
            "Sequential model with an Input, or a Functional one; a subclassed one may be a layer "
            "in it."
        )
    shape = tuple(outputs[0].shape)
    if len(outputs) != 1 or len(shape) != 2 or not isinstance(shape[1], int) or shape[1] < 2:
        raise ModelError(
            "The model must have one output of shape (batch, classes), with 2 classes or more. "
            f"Received: {len(outputs)} outputs, the first of shape {shape}. Give a classifier of "
            "two classes two outputs."
        )
    return shape[1]


def check_loss(model: keras.Model, num_classes: int) -> None:
    """Raise a `ModelError` when the loss of a compiled model doesn't take integer labels.

    Tried on one example more than there are classes: labels that aren't aligned with predictions
    would else be compared with all of them. A model that computes its loss by itself isn't checked.
    """
    loss = model.loss
    if isinstance(loss, (list, tuple, dict)) and len(loss) == 1:
        loss = next(iter(loss.values() if isinstance(loss, dict) else loss))
    if loss is None:
        return
    count = num_classes + 1
    rows = np.full((count, num_classes), 1 / num_classes, np.float32)
    try:
        PerSampleLoss(loss).values(np.arange(count) % num_classes, rows)
    except Exception as error:  # whatever a loss raises of labels that it isn't made for
        raise ModelError(
            "The loss must take integer labels of shape (batch,). Received: a model compiled with "
            f"{getattr(loss, 'name', getattr(loss, '__name__', loss))!r}. Use "
            "`SparseCategoricalCrossentropy`, or another loss of integer labels."
        ) from error


def predict_held_out(
    build: Build,
    x: tf.Tensor,
    labels: np.ndarray,
    *,
    train: np.ndarray,
    held_out: np.ndarray,
    epochs: int,
    batch_size: int,
    decay: bool,
    seed: int,
    watch: Watch | None = None,
    margins: np.ndarray | None = None,
) -> np.ndarray:
    """Train a new network on `train`, and return its probabilities for `held_out`.

    Model, optimizer and seed are new: restoring initial weights would keep the optimizer's moments,
    and one initialization for all folds would make their mistakes alike.

    Args:
        build: Seed to compiled model, whose loss takes integer labels.
        x: All inputs, shape (n, ...). Batches are gathered from them; nothing is copied a fold.
        labels: All given labels, shape (n,), int64.
        train: Ids to train on, shape (m,).
        held_out: Ids to predict, shape (h,).
        epochs: Passes over `train`.
        batch_size: Examples in a step; at most m are taken.
        decay: Whether a constant learning rate falls to 0 along half a cosine.
        seed: Decides initialization, dropout and order.
        watch: Called at the end; where there are two steps or more.
        margins: Array of shape (n,) in which the mean logit margin of each example that is trained
            on is written, see `MarginAudit`; None to do without.

    Returns:
        Probabilities, shape (h, k), float32.

    Raises:
        ModelError: when the model isn't as it must be, or gives no finite numbers.
    """
    model = fresh_model(build, sub_seed(seed, "init"))
    batch = min(batch_size, len(train))
    orders = _orders(train, epochs=epochs, batch_size=batch, seed=seed)
    if decay:
        _let_rate_fall(model, steps=len(orders) // batch)
    targets = tf.constant(labels.astype(np.int32))

    def labels_of(ids: tf.Tensor) -> tf.Tensor | dict[str, tf.Tensor]:
        given = tf.gather(targets, ids)
        return given if margins is None else {"given": given, "id": ids}

    def batches(ids: np.ndarray) -> tf.data.Dataset:
        return (
            tf.data.Dataset.from_tensor_slices(ids)
            .batch(batch, drop_remainder=True)
            .map(lambda ids: (tf.gather(x, ids), labels_of(ids)))
            .with_options(_options())
        )

    def predicted(ids: np.ndarray) -> np.ndarray:
        test = tf.data.Dataset.from_tensor_slices(ids).batch(max(batch, 256))
        test = test.map(lambda ids: tf.gather(x, ids)).with_options(_options())
        return as_probabilities(model.predict(test, verbose=0))

    half = len(orders) // batch // 2 * batch
    asked = held_out[labels[held_out] >= 0]
    asked = asked[:: -(-len(asked) // _WATCHED) or 1]
    agreements: list[float] = []
    audit: MarginAudit | None = None
    with _seeded(sub_seed(seed, "fit")):
        # The data goes through all epochs by itself, in an order of its own.
        for part in (orders,) if watch is None or not half else (orders[:half], orders[half:]):
            if margins is not None:
                start = None if audit is None else audit.record
                audit = MarginAudit(len(labels), probabilities=False, repeats=True, start=start)
            callbacks = [] if audit is None else [audit]
            model.fit(batches(part), epochs=1, shuffle=False, verbose=0, callbacks=callbacks)
            if watch is not None:
                agrees = predicted(asked).argmax(axis=1) == labels[asked]
                agreements.append(float(agrees.mean()))
    if watch is not None and len(agreements) > 1:
        watch(*agreements)
    if margins is not None and audit is not None:
        margins[train] = audit.record.margin[train]
    return predicted(held_out)


def as_probabilities(outputs: np.ndarray) -> np.ndarray:
    """Return probabilities as they are, and logits through a softmax, shape (n, k), float32.

    Rows that aren't negative and sum to 1 are probabilities: a second softmax would flatten them.

    Raises:
        ModelError: when there are numbers that aren't finite.
    """
    outputs = np.asarray(outputs, np.float64)
    if not np.isfinite(outputs).all():
        raise ModelError(
            "Predictions must be finite. Received: NaN or infinity after training on a fold. Try "
            "a lower learning rate."
        )
    if outputs.min() < 0 or np.abs(outputs.sum(axis=1) - 1).max() > 1e-2:
        outputs = special.softmax(outputs, axis=1)
    outputs = outputs / outputs.sum(axis=1, keepdims=True)
    return checked_probabilities(outputs).astype(np.float32)


def _let_rate_fall(model: keras.Model, *, steps: int) -> None:
    """Let a constant learning rate fall to 0; a schedule stays as it is."""
    optimizer = innermost_optimizer(model)
    if isinstance(given_learning_rate(optimizer), keras.Variable):
        rate = float(keras.ops.convert_to_numpy(optimizer.learning_rate))
        optimizer.learning_rate = keras.optimizers.schedules.CosineDecay(rate, steps)


def _orders(train: np.ndarray, *, epochs: int, batch_size: int, seed: int) -> np.ndarray:
    """Ids in the order of training, full batches only, int64.

    An epoch whose last batch isn't full is filled up from its own beginning, so that all steps
    have one shape and every example is met.
    """
    missing = -len(train) % batch_size
    epoch_orders = (generator(seed, "order", epoch).permutation(train) for epoch in range(epochs))
    return np.concatenate([part for order in epoch_orders for part in (order, order[:missing])])


def _options() -> tf.data.Options:
    options = tf.data.Options()
    options.autotune.enabled = False  # its thread can stall the end of an epoch on a CPU
    options.deterministic = True
    return options


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    python, array = random.getstate(), np.random.get_state()  # noqa: NPY002
    keras.utils.set_random_seed(seed)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(array)  # noqa: NPY002


def check_inputs(x: np.ndarray, labels: np.ndarray, *, model: keras.Model) -> None:
    """Raise a `DataError` unless these are examples for the model.

    Args:
        x: Inputs, shape (n, ...).
        labels: Given labels, shape (n,).
        model: Of the kind that will be trained on them.
    """
    if x.ndim == 0 or x.dtype.kind not in "uifb":
        raise DataError(
            "`x` must be numbers of shape (n, ...), as the model takes them. Received: shape "
            f"{x.shape}, {x.dtype}."
        )
    if len(x) != len(labels):
        raise DataError(
            f"There must be a label for each input. Received: {len(x)} inputs, {len(labels)} "
            "labels."
        )
    check_finite(x)
    _check_shape(x, model)


def _check_shape(x: np.ndarray, model: keras.Model) -> None:
    shapes = [tuple(tensor.shape)[1:] for tensor in model.inputs]
    fits = len(shapes) == 1 and len(shapes[0]) == x.ndim - 1
    if not fits or any(
        size not in (None, n) for size, n in zip(shapes[0], x.shape[1:], strict=True)
    ):
        raise DataError(
            f"`x` must be inputs of the model, which takes {shapes} for each example. Received: "
            f"shape {x.shape}."
        )
